// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/stage/row.hpp"

namespace filigree {

/// One row of a dense source between two stages: the values of all m columns. An absent entry is -inf; an entry of NaN
/// or 0 is present.
///
/// A selector or a normalizer may have one of these members, which must have the result of `apply` on the list of the
/// present entries:
///
/// - `void apply_dense(DenseRow<S>& row) const` changes the row in place.
/// - `Index list_kept(const S* values, Index m, S* kept, Column* columns) const` lists the entries that the stage
/// keeps,
///   in ascending columns, and returns their number. The list has room for m + padding entries.
/// - `void select_values(const S* from, S* to, Index count, S absent) const`, for a selector that looks at one value at
///   a time: writes the value after the stage, or `absent`. `from` and `to` are equal or do not overlap.
/// - `void map_row(const S* from, S* to, Index count, S absent, Index p, Index j) const`, for a normalizer that changes
///   each entry by itself: the same for keys j, j + 1, ... of the query p.
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

}  // namespace filigree
