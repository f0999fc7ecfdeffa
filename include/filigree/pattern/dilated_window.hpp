// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/pattern/strided.hpp"

namespace filigree {

/// A pattern: every step-th key within a window.
struct DilatedWindow {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Index reach, step;  // reach = r * step

  bool keeps(Index p, Index j) const { return j - p >= -reach && j - p <= reach && (p - j) % step == 0; }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index begin = p0 - grid.key_at <= reach ? grid.key_at : p0 - reach;
    const Index end = grid.key_end() - p1 < reach ? grid.key_end() : p1 + reach;
    if (p1 - p0 == 1)
      detail::add_every(step, p0, begin, end, out);
    else
      out.add(begin, end);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p1 - p0 == 1) covers(p0, p1, grid, out);
  }
  bool is_scattered(const Grid&) const { return step >= 4; }
};

/// Keeps every step-th key, up to r steps on each side of the query.
///
/// Formula    |p − j| ≤ r · step and step divides p − j
/// Throws     Error if r is negative, step < 1 or r * step overflows an Index
/// Reference  Beltagy et al., arXiv:2004.05150, section 3.1
inline DilatedWindow dilated_window(Index r, Index step) {
  detail::require(r >= 0, "dilated_window(r, step): r must be at least 0, got ", r);
  detail::require(step >= 1, "dilated_window(r, step): step must be at least 1, got ", step);
  constexpr Index max_index = (std::numeric_limits<Index>::max)();
  detail::require(r <= max_index / step, "dilated_window(r, step): r * step must be at most ", max_index,
                  ", got r = ", r, " and step = ", step);
  return {.reach = r * step, .step = step};
}

}  // namespace filigree
