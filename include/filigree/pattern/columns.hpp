// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/pattern/strided.hpp"

namespace filigree {

/// A pattern: the last keys of each block, for every query.
struct Columns {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Index l, c;

  bool keeps(Index, Index j) const { return floor_mod(j, l) >= l - c; }
  Index same_keys_until(Index, const Grid&) const { return (std::numeric_limits<Index>::max)(); }
  void covers(Index, Index, const Grid& grid, Ranges& out) const {
    if (c == l) return out.add(grid.key_at, grid.key_end());
    // Starts at the block that contains the first key. The loop compares `left` with l, since block + l could overflow.
    for (Index block = grid.key_at - floor_mod(grid.key_at, l); block < grid.key_end();) {
      const Index left = grid.key_end() - block;
      out.add(block + (l - c), left < l ? grid.key_end() : block + l);
      if (left <= l) return;
      block += l;
    }
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const { covers(p0, p1, grid, out); }
  bool is_scattered(const Grid&) const { return c < 4 && c <= l / 4; }
};

/// Keeps the last c keys of each block of l keys, which summarize the block, for every query.
///
/// Formula    j mod l ≥ l − c
/// Throws     Error if l < 1, c < 0 or c > l
/// Reference  Child et al., arXiv:1904.10509, section 4.2
inline Columns columns(Index l, Index c) {
  detail::require(l >= 1, "columns(l, c): l must be at least 1, got ", l);
  detail::require(c >= 0 && c <= l, "columns(l, c): c must be at least 0 and at most l = ", l, ", got ", c);
  return {.l = l, .c = c};
}

}  // namespace filigree
