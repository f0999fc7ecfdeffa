// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/check.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern: the keys within a window around each query.
struct Window {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Index left, right;

  // Compares distances, since p - left may overflow an Index.
  bool keeps(Index p, Index j) const { return j - p >= -left && j - p <= right; }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    out.add(begin_at(p0, grid), end_at(p1 - 1, grid));
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    out.add(begin_at(p1 - 1, grid), end_at(p0, grid));
  }

 private:
  Index begin_at(Index p, const Grid& grid) const { return p - grid.key_at <= left ? grid.key_at : p - left; }
  Index end_at(Index p, const Grid& grid) const { return grid.key_end() - p <= right ? grid.key_end() : p + right + 1; }
};

/// Keeps the keys around the query, `left` before it and `right` after it.
///
/// Formula    p − left ≤ j ≤ p + right
/// Throws     Error if left or right is negative
/// Reference  Beltagy et al., arXiv:2004.05150, section 3.1
inline Window window(Index left, Index right) {
  detail::require(left >= 0, "window(left, right): left must be at least 0, got ", left);
  detail::require(right >= 0, "window(left, right): right must be at least 0, got ", right);
  return {.left = left, .right = right};
}

/// Keeps the keys at most r positions away.
///
/// Formula    |p − j| ≤ r
/// Throws     Error if r is negative
/// Reference  Beltagy et al., arXiv:2004.05150, section 3.1
inline Window window(Index r) {
  detail::require(r >= 0, "window(r): r must be at least 0, got ", r);
  return {.left = r, .right = r};
}

}  // namespace filigree
