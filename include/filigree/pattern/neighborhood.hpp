// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/check.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern: a window of constant width that is shifted at the borders.
struct Neighborhood {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Index w;

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index begin = begin_at(p, grid);
    return j >= begin && j - begin < w;
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p0 < p1) out.add(begin_at(p0, grid), end_at(p1 - 1, grid));
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p0 < p1) out.add(begin_at(p1 - 1, grid), end_at(p0, grid));
  }

 private:
  Index begin_at(Index p, const Grid& grid) const {
    if (w >= grid.m) return grid.key_at;
    return std::clamp(p - w / 2, grid.key_at, grid.key_end() - w);
  }
  Index end_at(Index p, const Grid& grid) const { return w >= grid.m ? grid.key_end() : begin_at(p, grid) + w; }
};

/// Keeps the w nearest keys. At a border the window is shifted and keeps its width.
///
/// The window begins ⌊w / 2⌋ keys before the query, so a window of even width has one key more on the left.
/// Formula    p − ⌊w / 2⌋ ≤ j < p − ⌊w / 2⌋ + w, shifted into the keys
/// Edge case  w above the number of keys keeps them all
/// Throws     Error if w < 1
/// Reference  Hassani et al., arXiv:2204.07143, section 3.1
inline Neighborhood neighborhood(Index w) {
  detail::require(w >= 1, "neighborhood(w): w must be at least 1, got ", w);
  return {.w = w};
}

}  // namespace filigree
