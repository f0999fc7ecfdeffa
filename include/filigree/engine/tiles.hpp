// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "filigree/pipe/evaluator.hpp"

namespace filigree::detail {

/// What the fused engines share: which panels of keys a block of queries sees, who in the block sees all of a panel and
/// who some, and the scores of a panel after the patterns and maps that come first in the pipeline.
///
/// A panel is `width` columns from a multiple of width on. Queries stand in groups of `height`.
template <class Bound, class Stages, std::size_t count>
class Tiles {
 public:
  using S = typename Bound::Scalar;
  static constexpr S absent = -std::numeric_limits<S>::infinity();
  static constexpr bool has_maps = [] {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (MapStage<std::tuple_element_t<I, Stages>> || ...);
    }
    (std::make_index_sequence<count>{});
  }();

  static constexpr bool by_row = [] {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (asks_dearly<std::tuple_element_t<I, Stages>> || ...);
    }
    (std::make_index_sequence<count>{});
  }();

  Tiles(const Bound& source, const Stages& stages) : source_(source), stages_(stages), kernels_(kernel::kernels<S>()) {}

  [[nodiscard]] Index round_up(Index rows) const {
    return (rows + kernels_.height - 1) / kernels_.height * kernels_.height;
  }

  /// Takes the memory for a block of rows, as far as it is known before.
  void reserve(Index rows, WorkerScratch& scratch) const {
    scratch.queries.get<S>(round_up(rows) * source_.d());
    scratch.tile.get<S>(round_up(rows) * kernels_.width);
    const auto groups = static_cast<std::size_t>(round_up(rows) / kernels_.height);
    if (scratch.groups.size() < groups) scratch.groups.resize(groups);
    scratch.block.reserve(16);
    for (Sight& group : scratch.groups) group.reserve(16);
    if constexpr (by_row) {
      if (scratch.rows.size() < static_cast<std::size_t>(rows)) scratch.rows.resize(static_cast<std::size_t>(rows));
      if (scratch.rows_planned.size() < groups) scratch.rows_planned.resize(groups);
    }
  }

  /// Plans a block and packs its queries, which are returned.
  const S* begin(Index first, Index last, WorkerScratch& scratch) const {
    reserve(last - first, scratch);
    S* queries = scratch.queries.get<S>(round_up(last - first) * source_.d());
    source_.pack_queries(first, last - first, queries);
    plan(first, last, scratch.block);
    scratch.groups_planned = false;
    return queries;
  }

  /// The number of keys that some query of the block may see.
  [[nodiscard]] Index keys(const WorkerScratch& scratch) const {
    Index keys = 0;
    for (const Range& range : scratch.block.covers) keys += range.end - range.begin;
    return keys;
  }

  /// Calls f(panel) for each panel that some query of the block may see, in ascending order.
  template <class F>
  void for_each_panel(const WorkerScratch& scratch, F&& f) const {
    Index next = 0;  // panels before this one are done
    for (const Range& range : scratch.block.covers) {
      const Index begin = source_.grid().column(range.begin) / kernels_.width;
      const Index end = (source_.grid().column(range.end) + kernels_.width - 1) / kernels_.width;
      for (Index panel = (std::max)(begin, next); panel < end; ++panel) f(panel);
      next = (std::max)(next, end);
    }
  }

  /// Calls whole(r, n) for rows [r, r + n) of the block that see all keys of the panel, and part(r, n) for groups that
  /// see some.
  template <class Whole, class Part>
  void visit(Index panel, Index first, Index rows, WorkerScratch& scratch, Whole&& whole, Part&& part) const {
    const Index c0 = panel * kernels_.width, c1 = (std::min)(c0 + kernels_.width, source_.grid().m);
    if (coverage(scratch.block, c0, c1) == Coverage::all) return whole(0, rows);
    plan_groups(first, rows, scratch);
    for (Index r = 0; r < rows; r += kernels_.height) {
      const Index n = std::min<Index>(kernels_.height, rows - r);
      const Coverage group = coverage(scratch.groups[static_cast<std::size_t>(r / kernels_.height)], c0, c1);
      if (group == Coverage::all)
        whole(r, n);
      else if (group == Coverage::some)
        part(r, n);
    }
  }

  /// The columns of the panel, counted from its first, outside of which a group that sees some of it sees nothing.
  [[nodiscard]] Range seen(Index panel, Index r, const WorkerScratch& scratch) const {
    const Index j0 = source_.grid().key_at + panel * kernels_.width;
    const Sight& group = scratch.groups[static_cast<std::size_t>(r / kernels_.height)];
    const auto ranges = group.covers.meeting(j0, j0 + kernels_.width);
    return {std::max<Index>(ranges.front().begin - j0, 0), std::min<Index>(ranges.back().end - j0, kernels_.width)};
  }

  /// Whether rows that see all keys of the panel need nothing but the product: no map, no missing key.
  [[nodiscard]] bool is_plain(Index panel) const {
    return !has_maps && (panel + 1) * kernels_.width <= source_.grid().m;
  }

  /// The scores of rows [r, r + n) of the block that begins at row `first`, one panel apart, after maps; -inf where
  /// absent.
  S* scores(Index panel, Index first, Index r, Index n, const S* queries, WorkerScratch& scratch) const {
    const Index width = kernels_.width, groups = round_up(n) / kernels_.height;
    const Index c0 = panel * width, c1 = (std::min)(c0 + width, source_.grid().m);
    S* tile = scratch.tile.get<S>(groups * kernels_.height * width);
    kernels_.score_panel(queries + r * source_.d(), groups, source_.keys().panel(panel), source_.d(), source_.scale(),
                         tile, width);
    for (Index i = 0; i < n; ++i) {
      S* row = tile + i * width - c0;
      if constexpr (has_maps) map_row<false>(row, first + r + i, c0, c1);
      std::fill(row + c1, row + c0 + width, absent);
    }
    return tile;
  }

  /// The same for one group that sees some of the panel, after patterns and maps.
  S* masked_scores(Index panel, Index first, Index r, Index n, const S* queries, WorkerScratch& scratch) const {
    const Index width = kernels_.width, c0 = panel * width;
    const Range part = seen(panel, r, scratch);
    S* tile = scratch.tile.get<S>(kernels_.height * width);
    kernels_.score_part(queries + r * source_.d(), source_.keys().panel(panel), source_.d(), source_.scale(), tile,
                        part.begin, part.end);
    for (Index i = 0; i < n; ++i) {
      S* row = tile + i * width - c0;
      mask_row(row, first + r + i, c0 + part.begin, c0 + part.end, sight_of(first, r + i, r + n, scratch));
      std::fill(row + c0, row + c0 + part.begin, absent);
      std::fill(row + c0 + part.end, row + c0 + width, absent);
    }
    // Rows that are not there must not hold what is no number.
    std::fill(tile + n * width, tile + kernels_.height * width, absent);
    return tile;
  }

 private:
  enum class Coverage { none, some, all };

  /// The queries from this one up to there keep the same keys.
  [[nodiscard]] Index alike_until(Index p) const {
    Index until = (std::numeric_limits<Index>::max)();
    each_stage([&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>)
        until = (std::min)(until, detail::alike_until(stage, p, source_.grid()));
    });
    return until;
  }

  /// The keys that any of these queries may keep, and those that all keep.
  void plan(Index first, Index last, Sight& sight) const {
    const Grid& grid = source_.grid();
    const Index p0 = grid.query_at + first;
    const Index p1 = alike_until(p0) >= grid.query_at + last ? p0 + 1 : grid.query_at + last;
    sight.clear();
    bool first_pattern = true;
    each_stage([&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>) {
        const std::size_t may = sight.covers.size(), all = sight.contains.size();
        covers(stage, p0, p1, grid, sight.covers);
        contains(stage, p0, p1, grid, sight.contains);
        if (!first_pattern) {
          sight.covers.intersect(0, may);
          sight.contains.intersect(0, all);
        }
        first_pattern = false;
      }
    });
    if (first_pattern) {
      sight.covers.add(grid.key_at, grid.key_end());
      sight.contains.add(grid.key_at, grid.key_end());
    }
  }

  /// Plans rows [begin, end) of the block that begins at row `first`, `step` at a time; those that are like the ones
  /// before them are copied.
  void plan_each(Index first, Index begin, Index end, Index step, std::vector<Sight>& sights) const {
    Index alike = (std::numeric_limits<Index>::min)();
    for (Index r = begin; r < end; r += step) {
      Sight& sight = sights[static_cast<std::size_t>(r / step)];
      const Index last = (std::min)(r + step, end), p = source_.grid().query_at + first;
      if (r > begin && p + last <= alike) {
        sight = sights[static_cast<std::size_t>(r / step) - 1];
      } else {
        plan(first + r, first + last, sight);
        const Index until = alike_until(p + r);
        alike = until >= p + last ? until : (std::numeric_limits<Index>::min)();
      }
    }
  }

  /// Plans the groups of a block, unless that was done.
  void plan_groups(Index first, Index rows, WorkerScratch& scratch) const {
    if (std::exchange(scratch.groups_planned, true)) return;
    plan_each(first, 0, rows, kernels_.height, scratch.groups);
    if constexpr (by_row) std::fill(scratch.rows_planned.begin(), scratch.rows_planned.end(), char(0));
  }

  /// What masks row r of a block: its group's sight, or one of its own where that is cheaper than asking the pattern.
  const Sight& sight_of(Index first, Index r, Index end, WorkerScratch& scratch) const {
    const Index group = r / kernels_.height;
    if constexpr (by_row) {
      if (!std::exchange(scratch.rows_planned[static_cast<std::size_t>(group)], char(1)))
        plan_each(first, group * kernels_.height, (std::min)((group + 1) * kernels_.height, end), 1, scratch.rows);
      return scratch.rows[static_cast<std::size_t>(r)];
    }
    return scratch.groups[static_cast<std::size_t>(group)];
  }

  /// How much of the keys [c0, c1) is seen.
  Coverage coverage(const Sight& sight, Index c0, Index c1) const {
    const Index j0 = source_.grid().key_at + c0, j1 = source_.grid().key_at + c1;
    for (const Range& range : sight.contains.meeting(j0, j1))
      if (range.begin <= j0 && j1 <= range.end) return Coverage::all;
    return sight.covers.meeting(j0, j1).empty() ? Coverage::none : Coverage::some;
  }

  template <class F>
  void each_stage(F&& f) const {
    [&]<std::size_t... I>(std::index_sequence<I...>) { (f(std::get<I>(stages_)), ...); }
    (std::make_index_sequence<count>{});
  }

  /// A row of scores [c0, c1) after patterns and maps. What is inside `contains` or outside `covers` need not be asked.
  void mask_row(S* row, Index i, Index c0, Index c1, const Sight& sight) const {
    const auto clipped = [&](const Range& range, Index begin, Index end) {
      return Range{(std::max)(begin, source_.grid().column(range.begin)),
                   (std::min)(end, source_.grid().column(range.end))};
    };
    const Index j0 = source_.grid().key_at + c0, j1 = source_.grid().key_at + c1;
    Index c = c0;
    for (const Range& covered : sight.covers.meeting(j0, j1)) {
      const Range may = clipped(covered, c0, c1);
      std::fill(row + c, row + may.begin, absent);
      c = may.begin;
      for (const Range& contained : sight.contains.meeting(j0, j1)) {
        const Range all = clipped(contained, c, may.end);
        if (all.begin >= all.end) continue;
        map_row<true>(row, i, c, all.begin);
        if constexpr (has_maps) map_row<false>(row, i, all.begin, all.end);
        c = all.end;
      }
      map_row<true>(row, i, c, may.end);
      c = may.end;
    }
    std::fill(row + c, row + c1, absent);
  }

  template <bool masked>
  void map_row(S* row, Index i, Index c0, Index c1) const {
    const Index p = source_.grid().query_at + i, key_at = source_.grid().key_at;
    for (Index c = c0; c < c1; ++c) row[c] = streamed<masked>(row[c], p, key_at + c);
  }

  /// One score after the patterns and maps; `absent` when one of them makes it so.
  template <bool masked>
  S streamed(S score, Index p, Index j) const {
    const Grid& grid = source_.grid();
    const auto step = [&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>) {
        if constexpr (masked) return keeps(stage, p, j, grid);
        return true;
      } else {
        score = stage.map(score, p, j, grid);
        return score != absent;
      }
    };
    const bool stays = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return (!has_maps || score != absent) && (step(std::get<I>(stages_)) && ...);
    }
    (std::make_index_sequence<count>{});
    return stays ? score : absent;
  }

  const Bound& source_;
  const Stages& stages_;
  const kernel::Kernels<S>& kernels_;
};

}  // namespace filigree::detail
