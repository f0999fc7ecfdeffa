// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

namespace detail {

/// Adds the keys of [begin, end) whose distance from p is a multiple of step.
inline void add_every(Index step, Index p, Index begin, Index end, Ranges& out) {
  if (step == 1) return out.add(begin, end);
  Index j = begin + floor_mod(p - begin, step);
  while (j < end) {
    out.add(j, j + 1);
    j = end - j > step ? j + step : end;  // j + step could overflow
  }
}

}  // namespace detail

/// A pattern: every l-th key, counted from the query.
struct Strided {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Index l;

  bool keeps(Index p, Index j) const { return (p - j) % l == 0; }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p1 - p0 == 1)
      detail::add_every(l, p0, grid.key_at, grid.key_end(), out);
    else
      out.add(grid.key_at, grid.key_end());
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p1 - p0 == 1 || l == 1) covers(p0, p0 + 1, grid, out);
  }
  bool is_scattered(const Grid&) const { return l >= 4; }
};

/// Keeps every l-th key, counted from the query.
///
/// Formula    l divides p − j
/// Throws     Error if l < 1
/// Reference  Child et al., arXiv:1904.10509, section 4.2
inline Strided strided(Index l) {
  detail::require(l >= 1, "strided(l): l must be at least 1, got ", l);
  return {.l = l};
}

}  // namespace filigree
