// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/kernel/kernels.hpp"

namespace filigree::kernel {

/// The kernels that read numbers of 16 bits.
template <class Scalar>
struct StoredKernels {
  using Numbers = StoredNumbers<Scalar>;
  using Attend = void (*)(Scalar*, Index, const Segment*, Index, Numbers, Index, Index, Index, const RandomRow*,
                          SoftmaxState<Scalar>);
  void (*widen_half)(const void*, Index, Scalar*);
  void (*widen_bfloat)(const void*, Index, Scalar*);
  void (*score_panel)(const Scalar*, Index, Numbers, Index, Scalar, Scalar*, Index);
  void (*score_columns)(const Scalar*, Numbers, Index, Scalar, Scalar*, Index, Index, Index);
  void (*append_panel)(const Scalar*, Index, Numbers, Index, Scalar, Column, Candidates<Scalar>);
  Attend attend_chunk;
  Attend attend_nonfinite;
  void (*gather)(Scalar*, const Scalar*, const Column*, Index, Numbers, Index, Index, bool);
};

/// Returns the table of these kernels. The name of K depends on the -m flags (see kernels.hpp), and so does the name of
/// the table: the linker cannot merge tables from translation units with different flags.
template <class Scalar, class K = Kernels<Scalar>>
const StoredKernels<Scalar>* stored_kernels() {
  static constexpr StoredKernels<Scalar> table = {
      &K::widen_half,          &K::widen_bfloat,        &K::score_panel_stored,      &K::score_columns_stored,
      &K::append_panel_stored, &K::attend_chunk_stored, &K::attend_nonfinite_stored, &K::gather_stored};
  return &table;
}

}  // namespace filigree::kernel
