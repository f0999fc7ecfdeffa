// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/key_panel.hpp"
#include "filigree/pattern/coverage.hpp"
#include "filigree/pattern/keep.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/stage/apply.hpp"
#include "filigree/stage/score_tile.hpp"

namespace filigree::detail {

/// The tiles of scores that fused engines work on. Determines which panels of keys a block of queries attends to, and
/// whether a group of queries attends to all or part of a panel. Computes scores after the first patterns and maps.
///
/// A panel is `width` columns that begin at a multiple of `width`. A group is `height` queries.
template <class P, class Stages>
class ScoreTiles {
  using Form = detail::Form<Stages>;

 public:
  using S = typename P::Scalar;
  static constexpr S absent = -std::numeric_limits<S>::infinity();
  static constexpr Range all_panels = {0, (std::numeric_limits<Index>::max)()};
  static constexpr bool has_maps = Form::streams_maps;
  /// True if a map transforms several scores at once: stages are then applied one after another to tiles, and not score
  /// by score.
  static constexpr bool maps_spans = Form::template maps_spans<S>;
  /// True if a pattern is expensive to evaluate; then masks are planned for each row instead of each group.
  static constexpr bool by_row = Form::keeps_is_expensive;

  ScoreTiles(const P& problem, const Stages& stages)
      : problem_(problem), stages_(stages), kernels_(kernel::kernels<S>()) {}

  [[nodiscard]] Index round_up(Index rows) const { return detail::round_up(rows, kernels_.height); }

  /// Allocates the plan of a block of rows whose size is known in advance.
  void reserve(Index rows, WorkerScratch& scratch) const {
    const Index groups = round_up(rows) / kernels_.height;
    scratch.coverage.reserve(16);
    scratch.block_spans.reserve(32);
    scratch.previous_spans.reserve(32);
    if constexpr (Form::streams_patterns) {  // otherwise all queries attend to the same keys
      if (scratch.group_spans.size() < groups) scratch.group_spans.resize(groups);
      for (KeySpans& group : scratch.group_spans) group.reserve(32);
    }
    if constexpr (by_row) {
      if (scratch.row_spans.size() < rows) scratch.row_spans.resize(rows);
      if (scratch.rows_planned.size() < groups) scratch.rows_planned.resize(groups);
    }
  }

  /// A block of rows that are computed together.
  struct Block {
    Index first, rows;
    const S* queries;  // [groups][d][height]
  };

  /// Returns a panel as a block of queries reads it: in 16 bits for a single group of queries.
  [[nodiscard]] KeyPanel<S> panel_of(Index panel, const Block& block, WorkerScratch& scratch) const {
    KeyPanel<S> keys{nullptr, {}, block.rows, problem_.d(), problem_.scale};
    if constexpr (requires { problem_.keys.stored_panel(panel); })
      if (block.rows <= kernels_.height) keys.stored = problem_.keys.stored_panel(panel);
    if (!keys.stored) keys.numbers = problem_.keys.panel(panel, scratch);
    return keys;
  }

  /// Takes memory for the queries of a block.
  S* take_queries(Index rows, ScratchFrame& frame) const { return frame.take<S>(size_of_queries(rows)); }
  [[nodiscard]] Index size_of_queries(Index rows) const { return round_up(rows) * problem_.d(); }

  /// Plans a block and packs its queries.
  Block begin(Index first, Index rows, S* queries, WorkerScratch& scratch) const {
    problem_.queries.pack(first, rows, queries, scratch);
    return begin_unpacked(first, rows, queries, scratch);
  }
  /// Plans a block, whose queries must be packed before scores are computed.
  Block begin_unpacked(Index first, Index rows, const S* queries, WorkerScratch& scratch) const {
    reserve(rows, scratch);
    std::swap(scratch.block_spans, scratch.previous_spans);
    plan(first, first + rows, scratch.coverage, scratch.block_spans);
    scratch.previous_spans.reserve(scratch.block_spans.capacity());  // the next block is planned in it
    scratch.same_keys = same_keys_until(first) >= first + rows;
    scratch.groups_planned = false;
    return {first, rows, queries};
  }

  /// Returns the number of keys in these panels that at least one query of the block may attend to.
  [[nodiscard]] Index keys(const WorkerScratch& scratch, const Range& panels = all_panels) const {
    const Index begin = panels.begin * kernels_.width, end = (std::min)(panels.end, problem_.grid.m) * kernels_.width;
    Index keys = 0;
    for (const KeySpan& span : scratch.block_spans)
      keys += std::max<Index>((std::min)(span.end, end) - (std::max)(span.begin, begin), 0);
    return keys;
  }

  /// Returns true if a query of the previous block may attend to the panel.
  [[nodiscard]] bool is_visible_to_previous(Index panel, const WorkerScratch& scratch) const {
    return !overlapping(scratch.previous_spans, panel * kernels_.width, (panel + 1) * kernels_.width).empty();
  }

  /// Calls f(panel) in ascending order for each panel in a range that a query of the block may attend to.
  template <class F>
  void for_each_panel(const WorkerScratch& scratch, F&& f, Range range = all_panels) const {
    Index next = range.begin;  // all panels below `next` are done
    for (const KeySpan& span : scratch.block_spans) {
      const Index end = (std::min)(ceil_div(span.end, kernels_.width), range.end);
      for (Index panel = (std::max)(span.begin / kernels_.width, next); panel < end; ++panel) f(panel);
      next = (std::max)(next, end);
    }
  }

  /// Calls full(r, n) for consecutive groups, rows [r, r + n) of the block, that attend to all keys of the panel, and
  /// partial(r, n) for each group that attends to part of the panel.
  template <class Full, class Partial>
  void visit(Index panel, const Block& block, WorkerScratch& scratch, Full&& full, Partial&& partial) const {
    const Index c0 = panel * kernels_.width, c1 = (std::min)(c0 + kernels_.width, problem_.grid.m);
    if (overlap(scratch.block_spans, c0, c1) == Overlap::all) return full(0, block.rows);
    plan_groups(block, scratch);
    Index begin = 0, end = 0;  // consecutive groups that attend to all keys
    const auto flush = [&] {
      if (begin < end) full(begin, end - begin);
    };
    for (Index r = 0; r < block.rows; r += kernels_.height) {
      const Index n = std::min<Index>(kernels_.height, block.rows - r);
      const Overlap found = overlap(group(r, scratch), c0, c1);
      if (found == Overlap::some) partial(r, n);
      if (found != Overlap::all) continue;
      if (end != r) {
        flush();
        begin = r;
      }
      end = r + n;
    }
    flush();
  }

  /// Returns the smallest range of columns, relative to the first of the panel, outside of which the group of row r
  /// attends to no key of the panel. The group must attend to at least one.
  [[nodiscard]] Range visible_columns(Index panel, Index r, const WorkerScratch& scratch) const {
    const Index c0 = panel * kernels_.width;
    const auto spans = overlapping(group(r, scratch), c0, c0 + kernels_.width);
    return {std::max<Index>(spans[0].begin - c0, 0), std::min<Index>(spans.back().end - c0, kernels_.width)};
  }

  /// Returns the keys that the group of row r may attend to.
  [[nodiscard]] const KeySpans& group(Index r, const WorkerScratch& scratch) const {
    return scratch.same_keys ? scratch.block_spans : scratch.group_spans[r / kernels_.height];
  }

  /// Returns true if rows that attend to all keys of the panel need only the product: no map, no padded key.
  [[nodiscard]] bool is_plain(Index panel) const {
    return !has_maps && (panel + 1) * kernels_.width <= problem_.grid.m;
  }

  /// Computes the scores of rows [r, r + n) of the block, `stride` numbers apart, after maps. Absent scores are -inf.
  void scores(Index panel, const Block& block, Index r, Index n, S* tile, Index stride, WorkerScratch& scratch) const {
    const Index width = kernels_.width, groups = round_up(n) / kernels_.height, d = problem_.d();
    const Index c0 = panel * width, c1 = (std::min)(c0 + width, problem_.grid.m);
    const S* queries = block.queries + r * d;
    const KeyPanel<S> keys = panel_of(panel, block, scratch);
    const bool whole = c1 == c0 + width;
    // A map's operand is requested for the next panel while the scores of this panel are computed.
    const Index step = Form::requests_tiles || !whole ? 1 : groups;
    for (Index g = 0; g < groups; g += step) {
      issue_for_maps(scratch);
      const S* group = queries + g * kernels_.height * d;
      S* to = tile + g * kernels_.height * stride;
      if (whole)
        keys.score(group, step, to, stride);
      else
        keys.score_columns(group, {0, c1 - c0}, to, stride);
    }
    map(tile, stride, block, r, n, c0, c1);
    for (Index i = 0; i < n && !whole; ++i) std::fill(tile + i * stride + (c1 - c0), tile + i * stride + width, absent);
  }

  /// Computes the scores of one group that attends to part of the panel, after patterns and maps.
  void masked_scores(Index panel, const Block& block, Index r, Index n, S* tile, Index stride,
                     WorkerScratch& scratch) const {
    const Index width = kernels_.width, c0 = panel * width;
    const Range columns = visible_columns(panel, r, scratch);
    panel_of(panel, block, scratch).score_columns(block.queries + r * problem_.d(), columns, tile, stride);
    mask(tile, stride, block, r, n, c0, c0 + width, scratch);
  }

  /// Applies patterns and maps to the scores of columns [c0, c1) and rows [r, r + n) of a group, `stride` numbers
  /// apart. Absent scores become -inf.
  void mask(S* tile, Index stride, const Block& block, Index r, Index n, Index c0, Index c1,
            WorkerScratch& scratch) const {
    if constexpr (by_row) {
      char& planned = scratch.rows_planned[r / kernels_.height];
      if (!std::exchange(planned, char(1))) plan_each(block.first, r, r + n, 1, scratch, scratch.row_spans);
      for (Index i = r; i < r + n; ++i, tile += stride)
        mask_rows(tile - c0, stride, block.first + i, 1, c0, c1, scratch.row_spans[i]);
    } else {
      mask_rows(tile - c0, stride, block.first + r, n, c0, c1, group(r, scratch));
    }
  }

  /// Applies the maps only, for rows that attend to all columns [c0, c1).
  void map(S* tile, Index stride, const Block& block, Index r, Index n, Index c0, Index c1) const {
    if constexpr (has_maps) apply_to_rows<false>(tile - c0, stride, block.first + r, n, c0, c1);
  }

  /// Requests what the maps read for the columns [c0, c1) of a block, in about `steps` calls of issue_for_maps().
  void request_for_maps(const Block& block, Index c0, Index c1, Index steps, WorkerScratch& scratch) const {
    if constexpr (Form::requests_tiles) {
      const Grid& grid = problem_.grid;
      if (!scratch.block_spans.empty()) c1 = (std::min)(c1, scratch.block_spans.back().end);
      scratch.map_prefetcher.clear();
      each_stage([&](const auto& stage) {
        if constexpr (RequestsTiles<std::remove_cvref_t<decltype(stage)>>)
          stage.request_tile(grid.query_at + block.first, block.rows, grid.key_at + c0, c1 - c0, grid,
                             scratch.map_prefetcher);
      });
      scratch.map_prefetcher.pace(steps);
      scratch.map_prefetcher.limit(16);  // more requests at once would make the core wait
    }
  }
  void issue_for_maps(WorkerScratch& scratch) const {
    if constexpr (Form::requests_tiles) scratch.map_prefetcher.issue();
  }

  /// Plans the groups of a block once; later calls do nothing.
  void plan_groups(const Block& block, WorkerScratch& scratch) const {
    if (std::exchange(scratch.groups_planned, true)) return;
    if (!scratch.same_keys) plan_each(block.first, 0, block.rows, kernels_.height, scratch, scratch.group_spans);
    if constexpr (by_row) std::fill(scratch.rows_planned.begin(), scratch.rows_planned.end(), char(0));
  }

  /// Returns true if all queries of the block attend to all columns [c0, c1).
  [[nodiscard]] bool is_all_visible(Index c0, Index c1, const WorkerScratch& scratch) const {
    return overlap(scratch.block_spans, c0, c1) == Overlap::all;
  }

  /// Computes the keys that any query in [first, last) may keep, and the keys that all of them keep.
  void plan(Index first, Index last, Coverage& coverage, KeySpans& spans) const {
    const Grid& grid = problem_.grid;
    coverage.clear();
    bool first_pattern = true;
    each_stage([&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>) {
        const Index maybe_mark = coverage.maybe.size(), sure_mark = coverage.sure.size();
        add_block(stage, first, last, grid, coverage);
        if (!first_pattern) {
          coverage.maybe.intersect(0, maybe_mark);
          coverage.sure.intersect(0, sure_mark);
        }
        first_pattern = false;
      }
    });
    if (first_pattern) plan_block(KeepAll(), first, last, grid, coverage);
    if (const Range dropped = problem_.keys.dropped(); dropped.begin < dropped.end)
      for (Ranges* ranges : {&coverage.maybe, &coverage.sure}) {
        const Index mark = ranges->size();
        ranges->add(grid.key_at, grid.key_at + dropped.begin);
        ranges->add(grid.key_at + dropped.end, grid.key_end());
        ranges->intersect(0, mark);
      }
    split_into_spans(coverage, grid, spans);
  }

  /// Returns the first row after row i that may keep other keys than row i.
  [[nodiscard]] Index same_keys_until(Index i) const {
    Index until = problem_.grid.n;
    each_stage([&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>)
        until = (std::min)(until, same_keys_until_row(stage, i, problem_.grid));
    });
    return until;
  }

  /// Applies patterns and maps to the scores of a span in row i. They are stored in a list from index `at` on. Absent
  /// scores become -inf. Returns the index of the next span.
  Index apply_to_span(S* values, Index at, const KeySpan& span, Index i) const {
    S* row = values + (at - span.begin);
    if (!span.all)
      apply_to_rows<true>(row, 0, i, 1, span.begin, span.end);
    else if constexpr (has_maps)
      apply_to_rows<false>(row, 0, i, 1, span.begin, span.end);
    return at + (span.end - span.begin);
  }

 private:
  enum class Overlap { none, some, all };

  /// Plans rows [begin, end) of the block at row `first`, `step` rows at a time. Rows that keep the same keys as the
  /// previous ones get a copy of their plan.
  void plan_each(Index first, Index begin, Index end, Index step, WorkerScratch& scratch, List<KeySpans>& spans) const {
    Index same_until = (std::numeric_limits<Index>::min)();
    for (Index r = begin; r < end; r += step) {
      KeySpans& row_spans = spans[r / step];
      const Index last = (std::min)(r + step, end);
      if (r > begin && first + last <= same_until) {
        row_spans = spans[r / step - 1];
      } else {
        plan(first + r, first + last, scratch.coverage, row_spans);
        const Index until = same_keys_until(first + r);
        same_until = until >= first + last ? until : (std::numeric_limits<Index>::min)();
      }
    }
  }

  /// Returns whether none, some or all of the columns [c0, c1) are visible.
  static Overlap overlap(const KeySpans& spans, Index c0, Index c1) {
    const auto found = overlapping(spans, c0, c1);
    if (found.empty()) return Overlap::none;
    return found[0].all && found[0].begin <= c0 && c1 <= found[0].end ? Overlap::all : Overlap::some;
  }

  template <class F>
  void each_stage(F&& f) const {
    with_indices<Form::streamed>([&]<std::size_t... At>(std::index_sequence<At...>) {
      (f(std::get<At>(stages_)), ...);
    });
  }

  /// Applies patterns and maps to the scores [c0, c1) of n rows from row i on. Patterns are not evaluated outside of
  /// the spans or in spans that all queries keep.
  void mask_rows(S* rows, Index stride, Index i, Index n, Index c0, Index c1, const KeySpans& spans) const {
    const auto clear = [&](Index begin, Index end) {
      for (Index r = 0; r < n && begin < end; ++r)
        std::fill(rows + r * stride + begin, rows + r * stride + end, absent);
    };
    Index c = c0;
    for (const KeySpan& span : overlapping(spans, c0, c1)) {
      const Index begin = (std::max)(span.begin, c0), end = (std::min)(span.end, c1);
      clear(c, begin);
      if (!span.all)
        apply_to_rows<true>(rows, stride, i, n, begin, end);
      else if constexpr (has_maps)
        apply_to_rows<false>(rows, stride, i, n, begin, end);
      c = end;
    }
    clear(c, c1);
  }

  /// Applies maps, and patterns if `masked`, to the scores [c0, c1) of n rows from row i on.
  template <bool masked>
  void apply_to_rows(S* rows, Index stride, Index i, Index n, Index c0, Index c1) const {
    const Index p = problem_.grid.query_at + i, key_at = problem_.grid.key_at;
    if constexpr (maps_spans) {
      if (c0 == c1) return;
      const ScoreTile<S> tile{rows + c0, stride, p, n, key_at + c0, c1 - c0, problem_.grid};
      each_stage([&](const auto& stage) {
        if constexpr (masked || MapStage<decltype(stage)>) apply_to_tile(stage, tile);
      });
    } else {
      for (Index r = 0; r < n; ++r, rows += stride)
        for (Index c = c0; c < c1; ++c) rows[c] = apply_to_score<masked>(rows[c], p + r, key_at + c);
    }
  }

  /// Returns one score after the patterns and maps, or `absent` if one of them removes it.
  template <bool masked>
  S apply_to_score(S score, Index p, Index j) const {
    const Grid& grid = problem_.grid;
    const auto step = [&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>) {
        if constexpr (masked) return keeps(stage, p, j, grid);
        return true;
      } else {
        score = map_at(stage, score, p, j, grid);
        return score != absent;
      }
    };
    const bool is_kept = with_indices<Form::streamed>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return (!has_maps || score != absent) && (step(std::get<At>(stages_)) && ...);
    });
    return is_kept ? score : absent;
  }

  const P& problem_;
  const Stages& stages_;
  const kernel::Kernels<S>& kernels_;
};

}  // namespace filigree::detail
