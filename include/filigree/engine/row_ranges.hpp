// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <tuple>

#include "filigree/engine/form.hpp"
#include "filigree/stage/ranges.hpp"

namespace filigree::detail {

/// The keys of each row of a group, if these are one range of columns per row, as for windows. Masking by ranges is
/// faster than by keeps() for each pair.
template <class Stages>
struct RowRanges {
  /// True if the only stage before softmax is a pattern whose ranges for one query are exact and fast to compute.
  static constexpr bool possible = [] {
    using F = detail::Form<Stages>;
    if constexpr (F::streamed == 1 && F::streams_patterns)
      return ranges_are_exact<typename F::template StageAt<0>> && !F::keeps_is_expensive;
    else
      return false;
  }();
  static constexpr Index max_rows = 16;

  Column begin[max_rows], end[max_rows];  // columns; empty rows have begin >= end
  Range hull;                             // the smallest range that contains those of all rows

  /// Computes the ranges of n rows. Returns false if a row has several.
  bool compute(const Stages& stages, Index first, Index n, const Grid& grid, Ranges& scratch) {
    hull = {grid.m, 0};
    for (Index r = 0; r < n; ++r) {
      scratch.clear();
      covers(std::get<0>(stages), grid.query_at + first + r, grid.query_at + first + r + 1, grid, scratch);
      if (scratch.size() > 1) return false;
      const bool empty = scratch.size() == 0;
      const Range range =
          empty ? Range{0, 0} : Range{grid.column(scratch.begin()->begin), grid.column(scratch.begin()->end)};
      begin[r] = static_cast<Column>(range.begin);
      end[r] = static_cast<Column>(range.end);
      if (!empty) hull = {(std::min)(hull.begin, range.begin), (std::max)(hull.end, range.end)};
    }
    return true;
  }
};

}  // namespace filigree::detail
