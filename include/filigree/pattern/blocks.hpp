// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/pattern/strided.hpp"

namespace filigree {

/// What blocks(b, P) returns.
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
    constexpr Index most = (std::numeric_limits<Index>::max)();
    const Index until = detail::same_keys_until(pattern, block(p), blocks_of(grid));
    return until <= most / b ? until * b : most;
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    spread(p0, p1, grid, out, [&](Index b0, Index b1, const Grid& g) { detail::covers(pattern, b0, b1, g, out); });
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    spread(p0, p1, grid, out, [&](Index b0, Index b1, const Grid& g) { detail::contains(pattern, b0, b1, g, out); });
  }
  void check(const Grid& grid) const { detail::check(pattern, blocks_of(grid)); }
  bool is_scattered(const Grid& grid) const requires(detail::may_be_scattered<P>) {
    return b < 8 && detail::is_scattered(pattern, blocks_of(grid));
  }
  bool reads(const AddressRange& target) const { return detail::reads(pattern, target); }

  /// The grid of the blocks: those that have a query, those that have a key.
  [[nodiscard]] Grid blocks_of(const Grid& grid) const {
    const auto count = [&](Index at, Index size) { return size > 0 ? block(at + size - 1) - block(at) + 1 : 0; };
    return {.n = count(grid.query_at, grid.n),
            .m = count(grid.key_at, grid.m),
            .query_at = block(grid.query_at),
            .key_at = block(grid.key_at)};
  }

 private:
  Index block(Index at) const { return (at - detail::modulo(at, b)) / b; }

  template <class List>
  void spread(Index p0, Index p1, const Grid& grid, Ranges& out, List&& list) const {
    if (p0 >= p1 || grid.m == 0) return;
    const Index mark = out.size();
    list(block(p0), block(p1 - 1) + 1, blocks_of(grid));
    out.scale(mark, b, grid);
  }
};

/// Applies a pattern to blocks of b positions: the positions that P gets are the numbers of the blocks.
///
/// Ids that count from the end, and what P draws from all keys, count blocks.
/// Formula  P(⌊p / b⌋, ⌊j / b⌋)
/// Throws  Error if b < 1
template <PatternStage P>
Blocks<std::remove_cvref_t<P>> blocks(Index b, P&& pattern) {
  detail::require(b >= 1, "blocks(b, P): b must be at least 1, got ", b);
  return {.b = b, .pattern = std::forward<P>(pattern)};
}

}  // namespace filigree
