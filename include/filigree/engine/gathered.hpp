// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/run/engine_kind.hpp"
#include "filigree/run/evaluator.hpp"

// The gathered engine: scores | patterns and maps | any stages. For one query at a time, it computes only the scores of
// the keys that the query keeps, as a list. Then it applies the other stages to the list. Without other stages, and
// with a dense target, it writes tiles of scores to the target instead, unless a pattern scatters the keys of a query.

namespace filigree::detail {

template <class P, class Stages>
class GatheredEngine {
  using Form = detail::Form<Stages>;
  using S = typename P::Scalar;
  static constexpr S absent = -std::numeric_limits<S>::infinity();

 public:
  using Run = Unprepared<GatheredEngine>;
  static constexpr bool fused = true, reads_stored_values = true;
  static constexpr EngineKind kind = EngineKind::gathered;

  GatheredEngine(P& problem, const Stages& stages, const Session& session, Index count)
      : problem_(problem), stages_(stages), tiles_(problem, stages), kernels_(kernel::kernels<S>()) {
    problem.pack(session, count);
  }

  /// Returns the number of rows per task. Neighboring queries share keys, which then are in the cache.
  [[nodiscard]] Index height() const { return ends_in_scores ? 96 : 64; }

  template <class Sink>
  void reserve(WorkerScratch& scratch, const Sink&) const {
    problem_.keys.reserve(scratch);
  }

  Run prepare(Index, Index, const Session&, const RowSink<S>&) const { return {*this}; }

  void rows(Index first, Index last, WorkerScratch& scratch, const RowSink<S>& sink) const {
    if constexpr (ends_in_scores)
      if (writes_tiles(sink)) return write_tiles(first, last, scratch, sink);
    ScratchFrame frame(scratch);
    S* query = frame.take<S>(problem_.d());
    GatheredPanels gathered;
    Index same_until = first;
    for (Index i = first; i < last; ++i) {
      if constexpr (lists_columns) {
        const auto& pattern = std::get<0>(stages_);
        const Index p = problem_.grid.query_at + i;
        if (pattern.has_scattered_columns(p, problem_.grid)) {
          ensure_capacity(gathered, pattern.column_count(p, problem_.grid), frame);
          problem_.queries.copy(i, query);
          ScratchFrame row_frame(scratch);
          Row<S> row = listed_scores(i, query, gathered, row_frame, scratch);
          each_stage_after([&](const auto& stage) { apply(stage, row); });
          sink(row, scratch);
          same_until = i;
          continue;
        }
      }
      if (i >= same_until) {
        tiles_.plan(i, i + 1, scratch.coverage, scratch.block_spans);
        same_until = tiles_.same_keys_until(i);
        Index count = 0;
        for (const KeySpan& span : scratch.block_spans)
          if (!is_scored_in_panels(span)) count += span.end - span.begin;
        ensure_capacity(gathered, count, frame);
      }
      problem_.queries.copy(i, query);
      ScratchFrame row_frame(scratch);
      Row<S> row = kept_scores(i, query, gathered, row_frame, scratch);
      each_stage_after([&](const auto& stage) { apply(stage, row); });
      sink(row, scratch);
    }
  }

 private:
  /// Spans with at least this many keys per vector are scored from the packed panels; keys of other spans are gathered.
  /// Gathering costs about 25 cycles per key, scoring a packed vector 64 cycles (d = 64).
  static constexpr Index min_keys_per_vector = 3;

  /// True if no other stages follow the patterns and maps.
  static constexpr bool ends_in_scores = Form::streamed == Form::size;

  [[nodiscard]] bool writes_tiles(const RowSink<S>& sink) const {
    const Target<S>* to = sink.target();
    if (to == nullptr || to->op != Assign::set || (to->col_stride != 1 && to->row_stride != 1)) return false;
    const auto scatters = [&](const auto&... stage) { return (is_scattered(stage, problem_.grid) || ...); };
    return problem_.keys.packed() != nullptr && !std::apply(scatters, stages_);
  }
  /// Computes the scores of a block by tiles and writes them to the dense target of the sink. The tiles of some panels
  /// are collected, because the processor fetches long pieces of rows of the target in less time.
  void write_tiles(Index first, Index last, WorkerScratch& scratch, const RowSink<S>& sink) const {
    constexpr Index piece = 4096 / sizeof(S);
    const Index rows = last - first, width = kernels_.width, m = problem_.grid.m;
    const Index panels = piece / width, stride = piece + kernels_.lanes;  // no power of two
    ScratchFrame frame(scratch);
    S* const queries = tiles_.take_queries(rows, frame);
    S* const tile = frame.take<S>(tiles_.round_up(rows) * width);
    S* const pieces = frame.take<S>(rows * stride);
    const auto block = tiles_.begin(first, rows, queries, scratch);
    for (Index begin = 0; begin < m; begin += piece) {
      const Index end = (std::min)(begin + piece, m);
      if (!tiles_.is_all_visible(begin, end, scratch))
        for (Index r = 0; r < rows; ++r) std::fill_n(pieces + r * stride, end - begin, absent);
      const Range range{begin / width, begin / width + panels};
      tiles_.for_each_panel(
          scratch,
          [&](Index panel) {
            const Index c0 = panel * width, c1 = (std::min)(c0 + width, m);
            tiles_.request_for_maps(block, c1, c1 + width, tiles_.round_up(rows) / kernels_.height, scratch);
            const auto collect = [&](Index r, Index n) {
              for (Index i = 0; i < n; ++i)
                std::copy_n(tile + i * width, c1 - c0, pieces + (r + i) * stride + (c0 - begin));
            };
            tiles_.visit(
                panel, block, scratch,
                [&](Index r, Index n) {
                  tiles_.scores(panel, block, r, n, tile, kernels_.width, scratch);
                  collect(r, n);
                },
                [&](Index r, Index n) {
                  tiles_.masked_scores(panel, block, r, n, tile, kernels_.width, scratch);
                  collect(r, n);
                });
          },
          range);
      write_pieces(pieces, stride, first - sink.first_row(), rows, begin, end - begin, sink);
    }
  }
  /// Writes `rows` pieces of rows to the target, from its row i and column c on.
  void write_pieces(const S* pieces, Index stride, Index i, Index rows, Index c, Index columns,
                    const RowSink<S>& sink) const {
    const Target<S>& to = *sink.target();
    S* const at = to.data + i * to.row_stride + c * to.col_stride;
    if (to.col_stride != 1) return kernels_.transpose(pieces, stride, rows, columns, at, to.col_stride, sink.absent());
    for (Index r = 0; r < rows; ++r)
      kernels_.replace_absent(pieces + r * stride, at + r * to.row_stride, columns, sink.absent());
  }

  /// Gathered keys, packed as panels. They are used again for the next query if it keeps the same keys.
  struct GatheredPanels {
    S* keys = nullptr;          // [panels][d][width]
    Column* columns = nullptr;  // [panels][width]
    Index capacity = 0;         // number of panels
    Index count = 0;            // number of keys
  };

  /// Returns true if the keys of a span are scored from the packed panels.
  [[nodiscard]] bool is_scored_in_panels(const KeySpan& span) const {
    const Index lanes = kernels_.lanes, size = span.end - span.begin;
    if (size < min_keys_per_vector || problem_.keys.packed() == nullptr) return false;  // needs no division
    return size >= min_keys_per_vector * (ceil_div(span.end, lanes) - span.begin / lanes);
  }

  /// Ensures that there is memory for `count` gathered keys.
  void ensure_capacity(GatheredPanels& gathered, Index count, ScratchFrame& frame) const {
    const Index width = kernels_.width, d = problem_.d();
    if (count <= gathered.capacity * width) return;
    const Index capacity = (std::max)(ceil_div(count, width), 2 * gathered.capacity);
    const Index kept = round_up(gathered.count, width);
    S* keys = frame.take<S>(capacity * width * d);
    Column* columns = frame.take<Column>(capacity * width);
    std::copy_n(gathered.keys, kept * d, keys);
    std::copy_n(gathered.columns, kept, columns);
    gathered = {keys, columns, capacity, gathered.count};
  }

  /// True if the only stage before the others is a pattern that lists the columns of a query.
  static constexpr bool lists_columns = [] {
    if constexpr (Form::streamed == 1)
      return requires(const typename Form::template StageAt<0>& pattern, const Grid& grid, Column* to) {
        pattern.list_columns(Index{}, grid, to);
      };
    else
      return false;
  }();

  /// Computes the scores of the columns that the pattern lists for query i, in memory of the frame.
  Row<S> listed_scores(Index i, const S* query, GatheredPanels& gathered, ScratchFrame& frame,
                       WorkerScratch& scratch) const {
    const auto& pattern = std::get<0>(stages_);
    const Index p = problem_.grid.query_at + i, count = pattern.column_count(p, problem_.grid);
    S* values = frame.take<S>(round_up(count, Index(kernels_.width)) + Row<S>::padding);
    Column* columns = frame.take<Column>(count + Row<S>::padding);
    pattern.list_columns(p, problem_.grid, columns);
    const Index width = kernels_.width;
    for (Index begin = 0; begin < count; begin += width)
      score_gathered_panel(query, columns + begin, (std::min)(width, count - begin), begin, gathered, values + begin);
    if (const Range dropped = problem_.keys.dropped(); dropped.begin < dropped.end)
      for (Index e = 0; e < count; ++e)
        if (columns[e] >= dropped.begin && columns[e] < dropped.end) values[e] = absent;
    const Index kept = kernels_.keep_above(values, columns, count, absent);
    return make_row(problem_.grid, i, values, columns, kept, scratch);
  }

  /// Computes the scores that query i keeps, in memory of the frame.
  Row<S> kept_scores(Index i, const S* query, GatheredPanels& gathered, ScratchFrame& frame,
                     WorkerScratch& scratch) const {
    Index max_count = 0, longest_run = 0;
    for (const KeySpan& span : scratch.block_spans) {
      max_count += span.end - span.begin;
      longest_run = (std::max)(longest_run, span.end - span.begin);
    }
    const Index lanes = kernels_.lanes, d = problem_.d();
    S* values = frame.take<S>(max_count + Row<S>::padding);
    Column* columns = frame.take<Column>(max_count + Row<S>::padding);
    S* run = frame.take<S>(std::max<Index>(longest_run + 2 * lanes, kernels_.width));

    Column* keys_to_gather = frame.take<Column>(max_count);
    Column* targets = frame.take<Column>(max_count);  // their positions in the list
    Index count = 0, gather_count = 0;
    for (const KeySpan& span : scratch.block_spans) {
      const Index size = span.end - span.begin;
      for (Index e = 0; e < size; ++e) columns[count + e] = static_cast<Column>(span.begin + e);
      if (is_scored_in_panels(span)) {
        const Index begin = span.begin / lanes, end = ceil_div(span.end, lanes);
        kernels_.score_run(query, problem_.keys.packed(), begin, end, d, problem_.scale, run);
        std::copy_n(run + (span.begin - begin * lanes), size, values + count);
      } else {
        for (Index e = 0; e < size; ++e) {
          keys_to_gather[gather_count] = static_cast<Column>(span.begin + e);
          targets[gather_count++] = static_cast<Column>(count + e);
        }
      }
      count += size;
    }
    score_gathered(query, {keys_to_gather, targets, gather_count}, gathered, run, values);

    Index at = 0;
    for (const KeySpan& span : scratch.block_spans) at = tiles_.apply_to_span(values, at, span, i);
    count = kernels_.keep_above(values, columns, count, absent);
    return make_row(problem_.grid, i, values, columns, count, scratch);
  }

  /// Keys to gather, and the positions of their scores in the row.
  struct Gathering {
    const Column *keys, *targets;
    Index count;
  };

  /// Computes the scores of keys that are not in packed panels. `run` has room for one panel of scores.
  void score_gathered(const S* query, const Gathering& gathering, GatheredPanels& gathered, S* run, S* values) const {
    const Index width = kernels_.width;
    for (Index begin = 0; begin < gathering.count; begin += width) {
      const Index n = (std::min)(width, gathering.count - begin);
      score_gathered_panel(query, gathering.keys + begin, n, begin, gathered, run);
      for (Index e = 0; e < n; ++e) values[gathering.targets[begin + e]] = run[e];
    }
  }
  /// Computes the scores of n keys, at most one panel. They are gathered as the panel at index `begin` of the gathered
  /// keys, unless it holds them. Writes whole vectors.
  void score_gathered_panel(const S* query, const Column* columns, Index n, Index begin, GatheredPanels& gathered,
                            S* scores) const {
    const Index d = problem_.d();
    if (begin + n > gathered.count || !std::equal(columns, columns + n, gathered.columns + begin)) {
      problem_.keys.gather(columns, n, gathered.keys + begin * d);
      std::copy_n(columns, n, gathered.columns + begin);
      gathered.count = begin + n;
    }
    kernels_.score_run(query, gathered.keys + begin * d, 0, ceil_div(n, Index(kernels_.lanes)), d, problem_.scale,
                       scores);
  }

  template <class F>
  void each_stage_after(F&& f) const {
    with_indices<Form::size - Form::streamed>([&]<std::size_t... At>(std::index_sequence<At...>) {
      (f(std::get<Form::streamed + At>(stages_)), ...);
    });
  }

  const P& problem_;
  const Stages& stages_;
  ScoreTiles<P, Stages> tiles_;
  const kernel::Kernels<S>& kernels_;
};

}  // namespace filigree::detail
