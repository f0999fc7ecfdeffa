// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/pattern/coverage.hpp"
#include "filigree/stage/row.hpp"

namespace filigree {

/// The numbers of tiles of each kind.
struct TileCount {
  Index full = 0;     ///< tiles of which every pair is kept
  Index partial = 0;  ///< other tiles that the plan does not exclude
  Index all = 0;      ///< full, partial and empty tiles
  friend bool operator==(const TileCount&, const TileCount&) = default;
};

/// The numbers of queries and keys of a tile. Tiles at the border may be smaller.
struct TileShape {
  Index height = 64;  ///< queries
  Index width = 64;   ///< keys
  friend bool operator==(const TileShape&, const TileShape&) = default;
};

/// Whether a pattern keeps no pair of a tile, maybe some, or all of them.
enum class TileKind : char { empty, partial, full };

/// Consecutive tiles [begin, end) of the same kind, which is not empty.
struct TileRun {
  Column begin, end;
  TileKind kind;
  friend bool operator==(const TileRun&, const TileRun&) = default;
};

/// The tiles of each block of queries that a pattern does not exclude, as runs of tiles. It does not refer to the
/// pattern. The forward pass reads the tiles of each block of queries, the backward pass for K and V those of each
/// block of keys: `transposed()`.
class TilePlan {
 public:
  // Called by tile_plan().
  template <PatternStage P>
  TilePlan(const P& pattern, const Grid& grid, const TileShape& shape) : TilePlan(grid, shape) {
    constexpr Index max_size = (std::numeric_limits<Column>::max)() - 1024;
    detail::require(grid.n >= 0 && grid.n <= max_size, "tile_plan(pattern, n, m): n must be between 0 and ", max_size,
                    ", got ", grid.n);
    detail::require(grid.m >= 0 && grid.m <= max_size, "tile_plan(pattern, n, m): m must be between 0 and ", max_size,
                    ", got ", grid.m);
    detail::require(shape.height >= 1 && shape.width >= 1,
                    "tile_plan(pattern, n, m, {height, width}): both must be at least 1, got ", shape.height, " and ",
                    shape.width);
    detail::check(pattern, grid);
    detail::Coverage coverage;
    Index same_until = 0;  // rows from the first of the last planned block to this one (exclusive) keep the same keys
    for (Index first = 0, last = 0; first < grid.n; first = last) {
      last = (std::min)(first + shape.height, grid.n);
      if (last <= same_until) {
        repeat();
      } else {
        same_until = detail::plan_block(pattern, first, last, grid, coverage);
        append(coverage);
      }
    }
    starts_.shrink_to_fit();
    runs_.shrink_to_fit();
  }

  /// Returns the planned shape and positions.
  [[nodiscard]] const Grid& grid() const { return grid_; }
  [[nodiscard]] const TileShape& shape() const { return shape_; }
  /// Returns the number of blocks of queries.
  [[nodiscard]] Index rows() const { return starts_.size() - 1; }
  /// Returns the number of blocks of keys.
  [[nodiscard]] Index cols() const { return detail::ceil_div(grid_.m, shape_.width); }
  /// Returns the tiles of a block of queries that are not empty: disjoint runs in ascending order. Adjacent runs have
  /// different kinds.
  [[nodiscard]] std::span<const TileRun> runs(Index row) const {
    return {runs_.begin() + starts_[row], runs_.begin() + starts_[row + 1]};
  }
  /// Returns the kind of a tile.
  [[nodiscard]] TileKind kind(Index row, Index col) const {
    const auto list = runs(row);
    const auto run = std::partition_point(list.begin(), list.end(), [&](const TileRun& r) { return r.end <= col; });
    return run != list.end() && run->begin <= col ? run->kind : TileKind::empty;
  }
  /// Returns the numbers of tiles of each kind.
  [[nodiscard]] TileCount count() const {
    TileCount result{.all = rows() * cols()};
    for (const TileRun& run : runs_) (run.kind == TileKind::full ? result.full : result.partial) += run.end - run.begin;
    return result;
  }
  /// Returns the plan with queries and keys exchanged: for each block of keys the blocks of queries, ascending.
  ///
  /// Cost  O(tiles that are not empty + blocks of keys)
  [[nodiscard]] TilePlan transposed() const {
    const Index blocks = cols();
    TilePlan result({.n = grid_.m, .m = grid_.n, .query_at = grid_.key_at, .key_at = grid_.query_at},
                    {.height = shape_.width, .width = shape_.height});
    // The last run of each block of keys. Rows ascend, so a tile either extends this run or begins the next.
    detail::List<TileRun> last(blocks, TileRun{-1, -1, TileKind::empty});
    detail::List<Index> next(blocks + 1);  // first the number of runs of block c - 1 in next[c], then their positions
    const auto for_each_tile = [&](auto&& begin_run, auto&& extend_run) {
      std::fill(last.begin(), last.end(), TileRun{-1, -1, TileKind::empty});
      for (Index row = 0; row < rows(); ++row)
        for (const TileRun& run : runs(row))
          for (Index c = run.begin; c < run.end; ++c) {
            const auto at = static_cast<Column>(row);
            const bool extends = last[c].end == at && last[c].kind == run.kind;
            last[c] = {extends ? last[c].begin : at, at + 1, run.kind};
            extends ? extend_run(c) : begin_run(c);
          }
    };
    for_each_tile([&](Index c) { ++next[c + 1]; }, [](Index) {});
    for (Index c = 0; c < blocks; ++c) next[c + 1] += next[c];
    result.starts_ = next;
    result.runs_.resize(next[blocks], TileRun{});
    for_each_tile([&](Index c) { result.runs_[next[c]++] = last[c]; },
                  [&](Index c) { result.runs_[next[c] - 1] = last[c]; });
    return result;
  }
  /// Returns the memory of the plan in bytes.
  [[nodiscard]] std::size_t bytes() const {
    return sizeof(*this) + static_cast<std::size_t>(runs_.capacity()) * sizeof(TileRun) +
           static_cast<std::size_t>(starts_.capacity()) * sizeof(Index);
  }
  friend bool operator==(const TilePlan& a, const TilePlan& b) {
    return a.grid_ == b.grid_ && a.shape_ == b.shape_ &&
           std::equal(a.starts_.begin(), a.starts_.end(), b.starts_.begin(), b.starts_.end()) &&
           std::equal(a.runs_.begin(), a.runs_.end(), b.runs_.begin(), b.runs_.end());
  }

 private:
  TilePlan(const Grid& grid, const TileShape& shape) : grid_(grid), shape_(shape) { starts_.push_back(0); }

  /// Appends a block of queries.
  void append(const detail::Coverage& coverage) {
    const Range* sure = coverage.sure.begin();
    Index next = 0;  // the tiles before `next` are appended
    for (const Range& maybe : coverage.maybe) {
      const Index end = detail::ceil_div(grid_.column(maybe.end), shape_.width);
      next = (std::max)(next, grid_.column(maybe.begin) / shape_.width);
      for (; sure != coverage.sure.end() && sure->begin < maybe.end; ++sure) {
        const Index first = (std::max)(detail::ceil_div(grid_.column(sure->begin), shape_.width), next);
        const Index last = sure->end == grid_.key_end() ? cols() : grid_.column(sure->end) / shape_.width;
        if (first >= last) continue;
        append(next, first, TileKind::partial);
        append(first, last, TileKind::full);
        next = last;
      }
      append(next, end, TileKind::partial);
      next = (std::max)(next, end);
    }
    starts_.push_back(runs_.size());
  }
  void append(Index begin, Index end, TileKind kind) {
    if (begin >= end) return;
    TileRun* const last = runs_.size() > starts_.back() ? &runs_.back() : nullptr;
    if (last != nullptr && last->end == begin && last->kind == kind)
      last->end = static_cast<Column>(end);
    else
      runs_.push_back({static_cast<Column>(begin), static_cast<Column>(end), kind});
  }
  /// Appends a block of queries with the same tiles as the last one.
  void repeat() {
    const Index begin = starts_[rows() - 1], end = starts_.back();
    for (Index i = begin; i < end; ++i) runs_.push_back(runs_[i]);
    starts_.push_back(runs_.size());
  }

  Grid grid_;
  TileShape shape_;
  detail::List<Index> starts_;  // [rows + 1]: the runs of block i are [starts_[i], starts_[i + 1])
  detail::List<TileRun> runs_;
};

/// Plans the tiles of a pattern. It evaluates no pair, so a partial tile may turn out to be empty or full.
///
/// Cost    plans each block of queries once, or once for consecutive queries with the same keys; memory of 12 bytes for
///         each run of tiles of a block of queries, and 8 bytes for each block
/// Throws  Error if n or m is negative or too large, if height or width is less than 1, or if the pattern does not fit
template <PatternStage P>
TilePlan tile_plan(const P& pattern, const Grid& grid, const TileShape& shape = {}) {
  return {pattern, grid, shape};
}
/// Plans the tiles of a pattern, for the positions of scores(Q, K).
template <PatternStage P>
TilePlan tile_plan(const P& pattern, Index n, Index m, const TileShape& shape = {}) {
  return tile_plan(pattern, Grid{.n = n, .m = m, .query_at = m - n, .key_at = 0}, shape);
}

}  // namespace filigree
