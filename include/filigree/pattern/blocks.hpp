// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/pattern/reindexed.hpp"

namespace filigree {

namespace detail {

/// The blocks of b positions.
struct BlockIndices {
  Index b;

  [[nodiscard]] Index query(Index p) const { return floor_div(p, b); }
  [[nodiscard]] Index key(Index j) const { return floor_div(j, b); }
  /// Returns the grid of blocks: n blocks that contain a query and m blocks that contain a key.
  [[nodiscard]] Grid original(const Grid& grid) const {
    const auto count = [&](Index at, Index size) { return size > 0 ? key(at + size - 1) - key(at) + 1 : 0; };
    return {.n = count(grid.query_at, grid.n),
            .m = count(grid.key_at, grid.m),
            .query_at = query(grid.query_at),
            .key_at = key(grid.key_at)};
  }
  template <class F>
  void for_each_range(Index p0, Index p1, F&& f) const {
    if (p0 < p1) f(query(p0), query(p1 - 1) + 1);
  }
  [[nodiscard]] Index first_query(Index block) const {
    constexpr Index max_index = (std::numeric_limits<Index>::max)();
    return block <= max_index / b ? block * b : max_index;
  }
  void to_keys(Index mark, Ranges& ranges, const Grid& grid) const { ranges.scale(mark, b, grid); }
};

}  // namespace detail

/// A pattern of blocks: applies the pattern P to block indices instead of positions.
template <PatternStage P>
struct Blocks : detail::Reindexed<P, detail::BlockIndices> {
  bool is_scattered(const Grid& grid) const requires(detail::may_be_scattered<P>) {
    return this->indices.b < 8 && detail::Reindexed<P, detail::BlockIndices>::is_scattered(grid);
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
  return {{std::forward<P>(pattern), {b}}};
}

}  // namespace filigree
