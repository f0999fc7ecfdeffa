// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/check.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern: the first keys, for every query.
struct First {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Index c;

  bool keeps(Index, Index j) const { return j < c; }
  void covers(Index, Index, const Grid& grid, Ranges& out) const { out.add(grid.key_at, c); }
  void contains(Index, Index, const Grid& grid, Ranges& out) const { out.add(grid.key_at, c); }
};

/// Keeps the first c keys for every query, as attention sinks.
///
/// Formula    j < c
/// Edge case  counts from position 0, even if the first column has another position
/// Throws     Error if c is negative
/// Reference  Xiao et al., arXiv:2309.17453, section 3.2
inline First first(Index c) {
  detail::require(c >= 0, "first(c): c must be at least 0, got ", c);
  return {.c = c};
}

}  // namespace filigree
