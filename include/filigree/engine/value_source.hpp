// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>

#include "filigree/core/integers.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/scratch.hpp"
#include "filigree/engine/values.hpp"
#include "filigree/run/widen.hpp"
#include "filigree/stage/row.hpp"

namespace filigree::detail {

/// The rows of V, which a few queries read once:
///
/// - padded() returns the length of a row in whole vectors.
/// - in_place(j) returns the rows from row j to the end of its chunk if whole vectors of them can be read, or null. It
/// is
///   null for all rows or for none.
/// - is_contiguous() is true if in_place(0) returns all rows.
/// - copy(j, to) copies row j as padded() numbers.
template <class V>
concept ValueSource = requires(const V& values, Index j, typename V::Scalar* to) {
  { values.padded() } -> std::same_as<Index>;
  { values.in_place(j) } -> std::same_as<kernel::StridedRows<const typename V::Scalar>>;
  { values.is_contiguous() } -> std::same_as<bool>;
  { values.copy(j, to) } -> std::same_as<void>;
};

/// The rows of a matrix or expression as values.
template <class Reader, Real S>
struct ReadValues {
  using Scalar = S;
  Reader reader;

  [[nodiscard]] Index padded() const { return round_up(reader.cols(), Index(kernel::kernels<S>().lanes)); }
  [[nodiscard]] kernel::StridedRows<const S> in_place(Index j) const {
    if constexpr (Reader::direct && std::same_as<typename Reader::Scalar, S>)
      if (reader.contiguous_rows() && padded() == reader.cols())
        return {reader.data() + j * reader.row_stride(), reader.row_stride()};
    return {nullptr, 0};
  }
  [[nodiscard]] bool is_contiguous() const { return true; }
  void copy(Index j, S* to) const {
    read_row(reader, j, to);
    std::fill(to + reader.cols(), to + padded(), S(0));
  }
};

/// The rows of V as a cache stores them.
template <Real S>
struct StoredValueRows {
  using Scalar = S;
  ValueRows<S> rows;

  [[nodiscard]] Index padded() const { return rows.padded; }
  [[nodiscard]] kernel::StridedRows<const S> in_place(Index j) const {
    if (rows.stored) return {nullptr, 0};
    return {rows.data + rows.gap.place(j) * rows.stride, rows.stride};
  }
  [[nodiscard]] bool is_contiguous() const { return rows.is_plain(); }
  void copy(Index j, S* to) const {
    const Index first = rows.gap.place(j) * rows.stride;
    if (rows.stored)
      widen(rows.stored.from(first), rows.padded, to);
    else
      std::copy_n(rows.data + first, rows.padded, to);
  }
};

/// Writes the product of a row of weights and V to row i of the target.
template <ValueSource V, Real S>
void multiply_by_values(const Row<S>& row, const V& values, const Target<S>& to, Index i, ScratchFrame& frame) {
  const kernel::Kernels<S>& kernels = kernel::kernels<S>();
  const Index padded = values.padded();
  kernel::StridedRows<const S> v = values.in_place(0);
  const Column* columns = row.columns;
  if (v.data == nullptr || !values.is_contiguous()) {
    S* copy = frame.take<S>(row.count * padded);
    Column* listed = frame.take<Column>(row.count);
    for (Index e = 0; e < row.count; ++e) {
      values.copy(row.columns[e], copy + e * padded);
      listed[e] = static_cast<Column>(e);
    }
    v = {copy, padded};
    columns = listed;
  }
  if (to.op == Assign::set && to.col_stride == 1 && padded == to.cols)
    return kernels.gather(to.data + i * to.row_stride, row.values, columns, row.count, v.data, v.stride, padded);
  S* out = frame.take<S>(padded);
  kernels.gather(out, row.values, columns, row.count, v.data, v.stride, padded);
  to.store_row(i, out);
}

}  // namespace filigree::detail
