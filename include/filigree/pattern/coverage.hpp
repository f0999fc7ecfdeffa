// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/pattern/algebra.hpp"

namespace filigree::detail {

/// What the queries p0 <= p < p1 see.
template <PatternStage P>
void plan_rows(const P& pattern, Index p0, Index p1, const Grid& grid, Coverage& coverage) {
  coverage.clear();
  covers(pattern, p0, p1, grid, coverage.maybe);
  contains(pattern, p0, p1, grid, coverage.sure);
}

/// The first row after `row` whose query may see other keys.
template <PatternStage P>
Index same_keys_until_row(const P& pattern, Index row, const Grid& grid) {
  const Index until = same_keys_until(pattern, grid.query_at + row, grid);
  return until >= grid.query_at + grid.n ? grid.n : grid.row(until);
}

/// Calls f(range, sure) for the covered keys in ascending order, in parts that are contained (sure) or must be asked
/// for.
template <class F>
void for_each_range(const Coverage& coverage, F&& f) {
  const Range* sure = coverage.sure.begin();
  const Range* const end = coverage.sure.end();
  for (const Range& may : coverage.maybe)
    for (Index j = may.begin; j < may.end;) {
      while (sure != end && sure->end <= j) ++sure;
      const bool inside = sure != end && sure->begin <= j;
      const Index next = sure == end ? may.end : (std::min)(may.end, inside ? sure->end : sure->begin);
      f(Range{j, next}, inside);
      j = next;
    }
}

/// How many of these keys a query keeps.
template <PatternStage P>
Index count_kept(const P& pattern, Index p, const Range& keys, const Grid& grid) {
  Index kept = 0;
  for (Index j = keys.begin; j < keys.end; ++j) kept += keeps(pattern, p, j, grid) ? 1 : 0;
  return kept;
}

}  // namespace filigree::detail
