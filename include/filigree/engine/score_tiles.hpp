// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/pattern/coverage.hpp"
#include "filigree/pipe/evaluator.hpp"

namespace filigree::detail {

/// What the fused engines share: which panels of keys a block of queries sees, who in the block sees all of a panel and
/// who some, and the scores of a panel after the patterns and maps that come first in the pipeline.
///
/// A panel is `width` columns from a multiple of width on. Queries stand in groups of `height`.
template <class Bound, class Stages, std::size_t count>
class ScoreTiles {
 public:
  using S = typename Bound::Scalar;
  static constexpr S absent = -std::numeric_limits<S>::infinity();
  static constexpr bool has_maps = [] {
    return []<std::size_t... At>(std::index_sequence<At...>) {
      return (MapStage<std::tuple_element_t<At, Stages>> || ...);
    }
    (std::make_index_sequence<count>{});
  }();

  /// True if a map transforms whole vectors: stages are then applied one after another, and not score by score.
  static constexpr bool maps_vectors = [] {
    return []<std::size_t... At>(std::index_sequence<At...>) {
      return (MapsVectors<std::tuple_element_t<At, Stages>, S> || ...);
    }
    (std::make_index_sequence<count>{});
  }();

  static constexpr bool by_row = [] {
    return []<std::size_t... At>(std::index_sequence<At...>) {
      return (keeps_is_expensive<std::tuple_element_t<At, Stages>> || ...);
    }
    (std::make_index_sequence<count>{});
  }();

  ScoreTiles(const Bound& source, const Stages& stages)
      : source_(source), stages_(stages), kernels_(kernel::kernels<S>()) {}

  [[nodiscard]] Index round_up(Index rows) const {
    return (rows + kernels_.height - 1) / kernels_.height * kernels_.height;
  }

  /// Takes the memory for a block of rows, as far as it is known before.
  void reserve(Index rows, WorkerScratch& scratch) const {
    scratch.queries.get<S>(round_up(rows) * source_.d());
    scratch.tile.get<S>(round_up(rows) * kernels_.width);
    const Index groups = round_up(rows) / kernels_.height;
    if (scratch.groups.size() < groups) scratch.groups.resize(groups);
    scratch.coverage.reserve(16);
    scratch.block.reserve(32);
    scratch.before.reserve(32);
    for (KeySpans& group : scratch.groups) group.reserve(32);
    if constexpr (by_row) {
      if (scratch.rows.size() < rows) scratch.rows.resize(rows);
      if (scratch.rows_planned.size() < groups) scratch.rows_planned.resize(groups);
    }
  }

  /// Rows that are computed together.
  struct Block {
    Index first, rows;
    const S* queries;  // [groups][d][height]
  };

  /// Plans a block and packs its queries.
  Block begin(Index first, Index rows, WorkerScratch& scratch) const {
    reserve(rows, scratch);
    S* queries = scratch.queries.get<S>(round_up(rows) * source_.d());
    source_.pack_queries(first, rows, queries);
    std::swap(scratch.block, scratch.before);
    plan(first, first + rows, scratch.coverage, scratch.block);
    scratch.before.reserve(scratch.block.capacity());  // it is planned into next
    scratch.alike = same_keys_until(first) >= first + rows;
    scratch.groups_planned = false;
    return {first, rows, queries};
  }

  /// The number of keys that some query of the block may see.
  [[nodiscard]] Index keys(const WorkerScratch& scratch) const {
    Index keys = 0;
    for (const KeySpan& span : scratch.block) keys += span.end - span.begin;
    return keys;
  }

  /// Whether some query of the block before this one may see the panel.
  [[nodiscard]] bool seen_before(Index panel, const WorkerScratch& scratch) const {
    return !overlapping(scratch.before, panel * kernels_.width, (panel + 1) * kernels_.width).empty();
  }

  /// Calls f(panel) for each panel that some query of the block may see, in ascending order; of those in a range alone.
  template <class F>
  void for_each_panel(const WorkerScratch& scratch, F&& f,
                      Range among = {0, (std::numeric_limits<Index>::max)()}) const {
    Index next = among.begin;  // panels before this one are done
    for (const KeySpan& span : scratch.block) {
      const Index end = (std::min)((span.end + kernels_.width - 1) / kernels_.width, among.end);
      for (Index panel = (std::max)(span.begin / kernels_.width, next); panel < end; ++panel) f(panel);
      next = (std::max)(next, end);
    }
  }

  /// Calls whole(r, n) for groups of rows [r, r + n) of the block that see all keys of the panel, and part(r, n) for
  /// each group that sees some.
  template <class Whole, class Part>
  void visit(Index panel, const Block& block, WorkerScratch& scratch, Whole&& whole, Part&& part) const {
    const Index c0 = panel * kernels_.width, c1 = (std::min)(c0 + kernels_.width, source_.grid().m);
    if (overlap(scratch.block, c0, c1) == Overlap::all) return whole(0, block.rows);
    plan_groups(block, scratch);
    Index begin = 0, end = 0;  // groups beside each other that see all
    const auto hand_on = [&] {
      if (begin < end) whole(begin, end - begin);
    };
    for (Index r = 0; r < block.rows; r += kernels_.height) {
      const Index n = std::min<Index>(kernels_.height, block.rows - r);
      const Overlap seen = overlap(group(r, scratch), c0, c1);
      if (seen == Overlap::some) part(r, n);
      if (seen != Overlap::all) continue;
      if (end != r) {
        hand_on();
        begin = r;
      }
      end = r + n;
    }
    hand_on();
  }

  /// The columns of the panel, counted from its first, outside of which a group that sees some of it sees nothing.
  [[nodiscard]] Range seen(Index panel, Index r, const WorkerScratch& scratch) const {
    const Index c0 = panel * kernels_.width;
    const auto spans = overlapping(group(r, scratch), c0, c0 + kernels_.width);
    return {std::max<Index>(spans[0].begin - c0, 0), std::min<Index>(spans.back().end - c0, kernels_.width)};
  }

  /// What the group of row r sees.
  [[nodiscard]] const KeySpans& group(Index r, const WorkerScratch& scratch) const {
    return scratch.alike ? scratch.block : scratch.groups[r / kernels_.height];
  }

  /// Whether rows that see all keys of the panel need nothing but the product: no map, no missing key.
  [[nodiscard]] bool is_plain(Index panel) const {
    return !has_maps && (panel + 1) * kernels_.width <= source_.grid().m;
  }

  /// The scores of rows [r, r + n) of the block, one panel apart, after maps; -inf where absent.
  S* scores(Index panel, const Block& block, Index r, Index n, WorkerScratch& scratch) const {
    const Index width = kernels_.width, groups = round_up(n) / kernels_.height;
    const Index c0 = panel * width, c1 = (std::min)(c0 + width, source_.grid().m);
    S* tile = scratch.tile.get<S>(groups * kernels_.height * width);
    kernels_.score_panel(block.queries + r * source_.d(), groups, source_.panel(panel, scratch), source_.d(),
                         source_.scale(), tile, width);
    for (Index i = 0; i < n; ++i) {
      S* row = tile + i * width - c0;
      if constexpr (has_maps) map_row<false>(row, block.first + r + i, c0, c1);
      std::fill(row + c1, row + c0 + width, absent);
    }
    return tile;
  }

  /// The same for one group that sees some of the panel, after patterns and maps.
  S* masked_scores(Index panel, const Block& block, Index r, Index n, WorkerScratch& scratch) const {
    const Index width = kernels_.width, c0 = panel * width;
    const Range part = seen(panel, r, scratch);
    S* tile = scratch.tile.get<S>(kernels_.height * width);
    kernels_.score_columns(block.queries + r * source_.d(), source_.panel(panel, scratch), source_.d(), source_.scale(),
                           tile, width, part.begin, part.end);
    mask(tile, width, block, r, n, c0, c0 + width, scratch);
    return tile;
  }

  /// Patterns and maps on the scores of columns [c0, c1) of the rows [r, r + n) of a group, which stand `stride` apart;
  /// -inf where absent.
  void mask(S* tile, Index stride, const Block& block, Index r, Index n, Index c0, Index c1,
            WorkerScratch& scratch) const {
    if constexpr (by_row) {
      char& planned = scratch.rows_planned[r / kernels_.height];
      if (!std::exchange(planned, char(1))) plan_each(block.first, r, r + n, 1, scratch, scratch.rows);
      for (Index i = r; i < r + n; ++i, tile += stride)
        mask_rows(tile - c0, stride, block.first + i, 1, c0, c1, scratch.rows[i]);
    } else {
      mask_rows(tile - c0, stride, block.first + r, n, c0, c1, group(r, scratch));
    }
  }

  /// Maps alone, where all is seen.
  void map(S* tile, Index stride, const Block& block, Index r, Index n, Index c0, Index c1) const {
    if constexpr (has_maps)
      for (Index i = r; i < r + n; ++i, tile += stride) map_row<false>(tile - c0, block.first + i, c0, c1);
  }

  /// Plans the groups of a block, unless that was done.
  void plan_groups(const Block& block, WorkerScratch& scratch) const {
    if (std::exchange(scratch.groups_planned, true)) return;
    if (!scratch.alike) plan_each(block.first, 0, block.rows, kernels_.height, scratch, scratch.groups);
    if constexpr (by_row) std::fill(scratch.rows_planned.begin(), scratch.rows_planned.end(), char(0));
  }

  /// Whether all queries of the block see all of these columns.
  [[nodiscard]] bool sees_all(Index c0, Index c1, const WorkerScratch& scratch) const {
    return overlap(scratch.block, c0, c1) == Overlap::all;
  }

  /// The keys that any of these queries may keep, and those that all keep.
  void plan(Index first, Index last, Coverage& coverage, KeySpans& spans) const {
    const Grid& grid = source_.grid();
    const Index p0 = grid.query_at + first;
    const Index p1 = same_keys_until(first) >= last ? p0 + 1 : grid.query_at + last;
    coverage.clear();
    bool first_pattern = true;
    each_stage([&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>) {
        const Index may = coverage.maybe.size(), all = coverage.sure.size();
        covers(stage, p0, p1, grid, coverage.maybe);
        if (p1 - p0 == 1 && ranges_are_exact<decltype(stage)>)
          coverage.sure.append(coverage.maybe, may);
        else
          contains(stage, p0, p1, grid, coverage.sure);
        if (!first_pattern) {
          coverage.maybe.intersect(0, may);
          coverage.sure.intersect(0, all);
        }
        first_pattern = false;
      }
    });
    if (first_pattern) {
      coverage.maybe.add(grid.key_at, grid.key_end());
      coverage.sure.add(grid.key_at, grid.key_end());
    }
    split_into_spans(coverage, grid, spans);
  }

  /// The first row after row i that may keep other keys.
  [[nodiscard]] Index same_keys_until(Index i) const {
    Index until = source_.grid().n;
    each_stage([&](const auto& stage) {
      if constexpr (PatternStage<decltype(stage)>)
        until = (std::min)(until, same_keys_until_row(stage, i, source_.grid()));
    });
    return until;
  }

  /// Patterns and maps on a list of scores of the columns of a span, which stand in the list from `at` on; -inf where
  /// absent. Returns where the next span stands.
  Index stream(S* values, Index at, const KeySpan& span, Index i) const {
    S* row = values + (at - span.begin);
    if (!span.all)
      map_row<true>(row, i, span.begin, span.end);
    else if constexpr (has_maps)
      map_row<false>(row, i, span.begin, span.end);
    return at + (span.end - span.begin);
  }

 private:
  enum class Overlap { none, some, all };

  /// Plans rows [begin, end) of the block that begins at row `first`, `step` at a time; those that are like the ones
  /// before them are copied.
  void plan_each(Index first, Index begin, Index end, Index step, WorkerScratch& scratch, List<KeySpans>& spans) const {
    Index alike = (std::numeric_limits<Index>::min)();
    for (Index r = begin; r < end; r += step) {
      KeySpans& own = spans[r / step];
      const Index last = (std::min)(r + step, end);
      if (r > begin && first + last <= alike) {
        own = spans[r / step - 1];
      } else {
        plan(first + r, first + last, scratch.coverage, own);
        const Index until = same_keys_until(first + r);
        alike = until >= first + last ? until : (std::numeric_limits<Index>::min)();
      }
    }
  }

  /// How much of the columns [c0, c1) is seen.
  static Overlap overlap(const KeySpans& spans, Index c0, Index c1) {
    const auto found = overlapping(spans, c0, c1);
    if (found.empty()) return Overlap::none;
    return found[0].all && found[0].begin <= c0 && c1 <= found[0].end ? Overlap::all : Overlap::some;
  }

  template <class F>
  void each_stage(F&& f) const {
    [&]<std::size_t... At>(std::index_sequence<At...>) { (f(std::get<At>(stages_)), ...); }
    (std::make_index_sequence<count>{});
  }

  /// Scores [c0, c1) of rows from i on, after patterns and maps. What is in no span, or in one that is seen by all,
  /// need not be asked.
  void mask_rows(S* rows, Index stride, Index i, Index n, Index c0, Index c1, const KeySpans& spans) const {
    const auto clear = [&](Index begin, Index end) {
      for (Index r = 0; r < n && begin < end; ++r)
        std::fill(rows + r * stride + begin, rows + r * stride + end, absent);
    };
    Index c = c0;
    for (const KeySpan& span : overlapping(spans, c0, c1)) {
      const Index begin = (std::max)(span.begin, c0), end = (std::min)(span.end, c1);
      clear(c, begin);
      for (Index r = 0; r < n && (has_maps || !span.all); ++r) {
        if (span.all)
          map_row<false>(rows + r * stride, i + r, begin, end);
        else
          map_row<true>(rows + r * stride, i + r, begin, end);
      }
      c = end;
    }
    clear(c, c1);
  }

  template <bool masked>
  void map_row(S* row, Index i, Index c0, Index c1) const {
    const Index p = source_.grid().query_at + i, key_at = source_.grid().key_at;
    if constexpr (maps_vectors) {
      for (Index c = c0; c < c1; c += batch) apply_stages<masked>(row + c, p, key_at + c, (std::min)(batch, c1 - c));
    } else {
      for (Index c = c0; c < c1; ++c) row[c] = streamed<masked>(row[c], p, key_at + c);
    }
  }

  static constexpr Index batch = 64;

  /// Applies one stage after another to at most `batch` scores, of the keys from j on. Absent scores stay absent.
  template <bool masked>
  void apply_stages(S* scores, Index p, Index j, Index size) const {
    each_stage([&](const auto& stage) {
      using T = std::remove_cvref_t<decltype(stage)>;
      if constexpr (MapsVectors<T, S>) {
        S before[batch];
        std::copy_n(scores, size, before);
        stage.map_all(scores, size);
        for (Index e = 0; e < size; ++e) scores[e] = before[e] == absent ? absent : scores[e];
      } else if constexpr (MapStage<T>) {
        for (Index e = 0; e < size; ++e)
          if (scores[e] != absent) scores[e] = stage.map(scores[e], p, j + e, source_.grid());
      } else if constexpr (masked) {
        for (Index e = 0; e < size; ++e)
          if (scores[e] != absent && !keeps(stage, p, j + e, source_.grid())) scores[e] = absent;
      }
    });
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
    const bool stays = [&]<std::size_t... At>(std::index_sequence<At...>) {
      return (!has_maps || score != absent) && (step(std::get<At>(stages_)) && ...);
    }
    (std::make_index_sequence<count>{});
    return stays ? score : absent;
  }

  const Bound& source_;
  const Stages& stages_;
  const kernel::Kernels<S>& kernels_;
};

}  // namespace filigree::detail
