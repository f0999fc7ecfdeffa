// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "filigree/core/lazy.hpp"
#include "filigree/kernel/kernels.hpp"

// Matrices that are stored in 16 bits and computed with in float or double.

namespace filigree::detail {

/// Whether rows that lie in memory are to be widened by a kernel to become numbers of type S.
template <class R, class S>
inline constexpr bool is_widened = R::direct && !std::is_same_v<typename R::Scalar, S>;

/// Entries [first, first + count) of row i of a matrix whose rows are contiguous.
template <class R, Real S>
void widen_row(const R& x, Index i, Index first, Index count, S* to) {
  static_assert(is_widened<R, S>);
  const auto& kernels = kernel::kernels<S>();
  constexpr bool half = std::is_same_v<typename R::Scalar, Eigen::half>;
  (half ? kernels.widen_half : kernels.widen_bfloat)(x.data() + i * x.row_stride() + first, count, to);
}

/// Row i, wherever it comes from.
template <class R, Real S>
void read_row(const R& x, Index i, S* to) {
  if constexpr (is_widened<R, S>) {
    if (x.contiguous_rows()) return widen_row(x, i, 0, x.cols(), to);
  }
  x.copy_row(i, to);
}

}  // namespace filigree::detail
