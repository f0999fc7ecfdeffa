// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/pattern/algebra.hpp"

namespace filigree::detail {

/// Returns the first row after `row` whose query may attend to other keys, at most n.
template <PatternStage P>
Index same_keys_until_row(const P& pattern, Index row, const Grid& grid) {
  if (row >= grid.n) return grid.n;  // without queries, engines still ask for row 0
  const Index until = same_keys_until(pattern, grid.query_at + row, grid);
  return until >= grid.query_at + grid.n ? grid.n : grid.row(until);
}

/// Adds the coverage of the queries p0 <= p < p1.
template <PatternStage P>
void add_rows(const P& pattern, Index p0, Index p1, const Grid& grid, Coverage& coverage) {
  const Index mark = coverage.maybe.size();
  covers(pattern, p0, p1, grid, coverage.maybe);
  if (ranges_are_exact<P> && p1 - p0 == 1)
    coverage.sure.append(coverage.maybe, mark);
  else
    contains(pattern, p0, p1, grid, coverage.sure);
}
/// Computes the coverage of the queries p0 <= p < p1.
template <PatternStage P>
void plan_rows(const P& pattern, Index p0, Index p1, const Grid& grid, Coverage& coverage) {
  coverage.clear();
  add_rows(pattern, p0, p1, grid, coverage);
}
/// Adds the coverage of rows [first, last). One query is planned if all keep the same keys. Returns the first row after
/// `first` whose query may attend to other keys.
template <PatternStage P>
Index add_block(const P& pattern, Index first, Index last, const Grid& grid, Coverage& coverage) {
  const Index until = same_keys_until_row(pattern, first, grid), p0 = grid.query_at + first;
  add_rows(pattern, p0, until >= last ? p0 + 1 : grid.query_at + last, grid, coverage);
  return until;
}
/// Computes the coverage of rows [first, last).
template <PatternStage P>
Index plan_block(const P& pattern, Index first, Index last, const Grid& grid, Coverage& coverage) {
  coverage.clear();
  return add_block(pattern, first, last, grid, coverage);
}

/// Calls f(range, sure) for consecutive ranges of the covered keys, in ascending order. `sure` is true if all keys of
/// the range are kept; otherwise keeps() must be evaluated for each.
template <class F>
void for_each_range(const Coverage& coverage, F&& f) {
  const Range* sure = coverage.sure.begin();
  const Range* const end = coverage.sure.end();
  for (const Range& maybe : coverage.maybe)
    for (Index j = maybe.begin; j < maybe.end;) {
      while (sure != end && sure->end <= j) ++sure;
      const bool inside = sure != end && sure->begin <= j;
      const Index next = sure == end ? maybe.end : (std::min)(maybe.end, inside ? sure->end : sure->begin);
      f(Range{j, next}, inside);
      j = next;
    }
}

/// Returns the number of keys in a range that a query keeps.
template <PatternStage P>
Index count_kept(const P& pattern, Index p, const Range& keys, const Grid& grid) {
  Index kept = 0;
  for (Index j = keys.begin; j < keys.end; ++j) kept += keeps(pattern, p, j, grid) ? 1 : 0;
  return kept;
}

}  // namespace filigree::detail
