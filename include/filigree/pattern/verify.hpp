// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/check.hpp"
#include "filigree/stage/pattern_traits.hpp"
#include "filigree/stage/ranges.hpp"

namespace filigree {

namespace detail {

/// Checks the promises of a pattern for blocks of `height` queries.
template <PatternStage P>
void verify_blocks(const P& pattern, const Grid& grid, Index height) {
  using Traits = pattern_traits<P>;
  const auto inside = [](const Ranges& ranges, Index j) {
    const auto overlap = ranges.overlapping(j, j + 1);
    return overlap.begin() != overlap.end();
  };
  Ranges covers, contains;
  const Index end = grid.query_at + grid.n;
  for (Index p0 = grid.query_at; p0 < end; p0 += height) {
    const Index p1 = (std::min)(p0 + height, end);
    covers.clear();
    contains.clear();
    Traits::covers(pattern, p0, p1, grid, covers);
    Traits::contains(pattern, p0, p1, grid, contains);
    for (Index p = p0; p < p1; ++p)
      for (Index j = grid.key_at; j < grid.key_end(); ++j) {
        const bool keeps = Traits::keeps(pattern, p, j, grid), covered = inside(covers, j), sure = inside(contains, j);
        require(!keeps || covered, "verify(pattern): keeps(", p, ", ", j, ") is true, but covers(", p0, ", ", p1,
                ") does not cover key ", j);
        require(keeps || !sure, "verify(pattern): keeps(", p, ", ", j, ") is false, but contains(", p0, ", ", p1,
                ") contains key ", j);
        if constexpr (Traits::ranges_are_exact)
          require(height > 1 || covered == sure, "verify(pattern): ranges_are_exact is true, but covers(", p0, ", ", p1,
                  ") and contains(", p0, ", ", p1, ") differ at key ", j);
      }
  }
}

}  // namespace detail

/// Checks that the optional members of a pattern agree with keeps() on a grid of queries and keys.
///
/// Tests of a pattern should call it for a few small grids.
/// Cost    O(n · m) calls of keeps() for each of 5 block heights, and for same_keys_until()
/// Throws  Error that names the first pair of positions (p, j) that covers() loses, that contains() promises wrongly,
///         or for which same_keys_until() or ranges_are_exact is wrong
template <PatternStage P>
void verify(const P& pattern, const Grid& grid) {
  detail::check(pattern, grid);
  for (const Index height : {Index{1}, Index{2}, Index{5}, Index{16}, (std::max)(grid.n, Index{1})})
    detail::verify_blocks(pattern, grid, height);
  const Index end = grid.query_at + grid.n;
  for (Index p = grid.query_at; p < end; ++p) {
    const Index until = pattern_traits<P>::same_keys_until(pattern, p, grid);
    for (Index other = p + 1; other < (std::min)(until, end); ++other)
      for (Index j = grid.key_at; j < grid.key_end(); ++j)
        detail::require(detail::keeps(pattern, p, j, grid) == detail::keeps(pattern, other, j, grid),
                        "verify(pattern): same_keys_until(", p, ") is ", until, ", but keeps(", p, ", ", j,
                        ") differs from keeps(", other, ", ", j, ")");
  }
}

/// Checks a pattern for n queries and m keys at their default positions: the last query is at the last key.
///
/// Throws  Error if n or m is negative, or as verify(pattern, grid)
template <PatternStage P>
void verify(const P& pattern, Index n, Index m) {
  detail::require(n >= 0, "verify(pattern, n, m): n must be at least 0, got ", n);
  detail::require(m >= 0, "verify(pattern, n, m): m must be at least 0, got ", m);
  verify(pattern, Grid{.n = n, .m = m, .query_at = m - n, .key_at = 0});
}

}  // namespace filigree
