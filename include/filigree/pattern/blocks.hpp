// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/pattern/strided.hpp"

namespace filigree {

/// A pattern of blocks: applies the pattern P to block indices instead of positions.
template <PatternStage P>
struct Blocks {
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = detail::keeps_is_expensive<P>,
                        ranges_are_exact = detail::ranges_are_exact<P>;
  Index b;
  P pattern;

  bool keeps(Index p, Index j, const Grid& grid) const {
    return detail::keeps(pattern, block(p), block(j), blocks_of(grid));
  }
  Index same_keys_until(Index p, const Grid& grid) const {
    constexpr Index max_index = (std::numeric_limits<Index>::max)();
    const Index until = detail::same_keys_until(pattern, block(p), blocks_of(grid));
    return until <= max_index / b ? until * b : max_index;
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    add_scaled(p0, p1, grid, out, [&](Index b0, Index b1, const Grid& g) { detail::covers(pattern, b0, b1, g, out); });
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    add_scaled(p0, p1, grid, out,
               [&](Index b0, Index b1, const Grid& g) { detail::contains(pattern, b0, b1, g, out); });
  }
  void check(const Grid& grid) const { detail::check(pattern, blocks_of(grid)); }
  bool is_scattered(const Grid& grid) const requires(detail::may_be_scattered<P>) {
    return b < 8 && detail::is_scattered(pattern, blocks_of(grid));
  }
  bool reads(const AddressRange& target) const { return detail::reads(pattern, target); }

  /// Returns the grid of blocks: n blocks that contain a query and m blocks that contain a key.
  [[nodiscard]] Grid blocks_of(const Grid& grid) const {
    const auto count = [&](Index at, Index size) { return size > 0 ? block(at + size - 1) - block(at) + 1 : 0; };
    return {.n = count(grid.query_at, grid.n),
            .m = count(grid.key_at, grid.m),
            .query_at = block(grid.query_at),
            .key_at = block(grid.key_at)};
  }

 private:
  Index block(Index at) const { return floor_div(at, b); }

  /// Calls add(b0, b1, grid) for the blocks of the queries p0 <= p < p1, and scales the added ranges to keys.
  template <class Add>
  void add_scaled(Index p0, Index p1, const Grid& grid, Ranges& out, Add&& add) const {
    if (p0 >= p1 || grid.m == 0) return;
    const Index mark = out.size();
    add(block(p0), block(p1 - 1) + 1, blocks_of(grid));
    out.scale(mark, b, grid);
  }
};

/// Applies a pattern to blocks of b positions. P receives block indices instead of positions.
///
/// Inside P, negative ids of global() and random keys refer to blocks.
/// Formula    P(⌊p / b⌋, ⌊j / b⌋)
/// Throws     Error if b < 1
template <PatternStage P>
Blocks<std::remove_cvref_t<P>> blocks(Index b, P&& pattern) {
  detail::require(b >= 1, "blocks(b, P): b must be at least 1, got ", b);
  return {.b = b, .pattern = std::forward<P>(pattern)};
}

}  // namespace filigree
