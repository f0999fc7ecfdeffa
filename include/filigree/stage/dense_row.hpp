// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/stage/row.hpp"

namespace filigree {

/// One row of a dense source between two stages: the values of all m columns. An absent entry is -inf.
///
/// A selector or a normalizer may have the member
///
///   template <Real S> void apply_dense(DenseRow<S>& row) const
///
/// which does in place what `apply` does to the list of the present entries. An entry of NaN or 0 is present.
template <Real S>
struct DenseRow {
  static constexpr Index padding = Row<S>::padding;
  static constexpr S absent = -std::numeric_limits<S>::infinity();

  const Grid& grid;
  Index index;  // row index in the matrix
  S* values;    // [grid.m + padding]; the padding may be read and written
  RowScratch& scratch;
  S maximum = absent;  // set by softmax, as in a Row
  S sum = 0;

  [[nodiscard]] Index size() const { return grid.m; }
  [[nodiscard]] Index position() const { return grid.query_at + index; }
  [[nodiscard]] Index position_of(Index column) const { return grid.key_at + column; }
};

namespace detail {

/// A stage that processes a row as the list of its present entries, or as all its values.
template <class T, class S>
concept AppliesDense = requires(const T& stage, DenseRow<S>& row) {
  stage.apply_dense(row);
};

}  // namespace detail
}  // namespace filigree
