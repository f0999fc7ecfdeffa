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
#include "filigree/engine/dropped_weights.hpp"
#include "filigree/engine/finish_rows.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/group_pass.hpp"
#include "filigree/engine/narrow_pass.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/engine/values.hpp"
#include "filigree/run/engine_kind.hpp"

// The online softmax engine: scores | patterns and maps | softmax, optionally followed by dropout, times V. The scores
// of a block of queries against a chunk of keys become weights and are multiplied by V before the next chunk. The n x m
// scores are never materialized. Dropped weights count in the sums by which the outputs are divided.

namespace filigree::detail {

/// The online softmax engine. Its sink is the sink of a product, which has the rows of V and takes outputs.
template <class P, class Stages>
class OnlineSoftmaxEngine {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;

 public:
  /// A chunk of keys that the block of queries at row `first` attends to.
  struct Visit {
    Index first, chunk;
  };
  using Values = CachedValues<S>;
  /// The rows of V, and the sums of all visits if the engine parallelized over chunks of keys.
  struct Run {
    const OnlineSoftmaxEngine& engine;
    Values values;
    Slice<Visit> visits{};
    SoftmaxState<S> sums{};

    template <class Sink>
    void rows(Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
      engine.finish(*this, first, last, scratch, sink);
    }
    [[nodiscard]] Index visits_before(Index row) const {
      const auto before_row = [&](const Visit& visit) { return visit.first < row; };
      return std::partition_point(visits.begin(), visits.end(), before_row) - visits.begin();
    }
    [[nodiscard]] SoftmaxState<S> slot(Index visit) const {
      return sums.from(visit * engine.tiles_.round_up(engine.height_));
    }
  };
  static constexpr bool fused = true, aligns_values = true, reads_stored_values = true;
  static constexpr EngineKind kind = EngineKind::online_softmax;

  /// `count` is the total number of rows of the evaluation.
  OnlineSoftmaxEngine(P& problem, const Stages& stages, const Session& session, Index count)
      : OnlineSoftmaxEngine(problem, stages,
                            session.concurrency() > 1 ? (count - 1) / (4 * session.concurrency()) + 1 : count) {
    problem.keys.pack(session, count, [&] { return estimate_panels(session.scratch(0)); });
  }
  /// `rows_per_task` is the number of rows per task that keeps all workers busy.
  OnlineSoftmaxEngine(const P& problem, const Stages& stages, Index rows_per_task)
      : problem_(problem),
        stages_(stages),
        tiles_(problem, stages),
        drops_(problem, stages),
        kernels_(kernel::kernels<S>()) {
    const Index cached = cache_budget().queries / (static_cast<Index>(sizeof(S)) * std::max<Index>(problem.d(), 1));
    const Index max_height = tiles_.round_up(std::clamp<Index>(cached, 4 * kernels_.height, 96));
    // A block of rows that attend to the same keys needs no plan for its groups.
    const Index same_rows = tiles_.same_keys_until(0);
    // Groups of such a block, if it is small, are scored against its own keys only.
    const bool blocks = Form::keeps_is_expensive && same_rows >= 2 * kernels_.height &&
                        5 * same_rows >= 4 * tiles_.round_up(same_rows) && same_rows < max_height;
    height_ = (std::min)(blocks || (2 * same_rows > max_height && same_rows < 2 * max_height) ? same_rows : max_height,
                         tiles_.round_up(std::max<Index>(rows_per_task, 1)));
  }

  [[nodiscard]] Index height() const { return height_; }

  /// Allocates the buffers for one block of queries.
  template <class Sink>
  void reserve(WorkerScratch& scratch, const Sink& sink) const {
    tiles_.reserve(height_, scratch);
    problem_.keys.reserve(scratch);
    scratch.previous_spans.clear();  // K and V may differ from those of the last evaluation
    scratch.prefetcher.clear();
    scratch.segments.reserve(32);
    if constexpr (Narrow::possible) Narrow(problem_, stages_).reserve(sink.values(), scratch);
    ScratchFrame frame(scratch);
    frame.reserve<S>({size_of_sums(height_, sink.values()), tiles_.size_of_queries(height_), size_of_scores(height_),
                      kernels_.height * problem_.d()});  // the last one is of queries.pack()
  }

  /// Uses V in place, and computes all keys of a block in one task.
  Run with_values(const ValueRows<S>& v) const { return {*this, {v}}; }

  /// Copies V if that pays off. With fewer query blocks than threads, parallelizes over chunks of keys.
  template <OutputSink<S> Sink>
  Run prepare(Index first, Index count, const Session& session, const Sink& sink) const {
    Run run{*this, align_values(sink.values(), count, session)};
    if (ceil_div(count, height_) >= session.concurrency()) return run;
    const Slice<Visit> visits = visits_of(first, first + count, session);
    const Index tasks = 4 * session.concurrency();
    if (visits.size() < tasks) return run;
    run.visits = visits;
    const Index rows = visits.size() * tiles_.round_up(height_), padded = run.values.padded;
    run.sums = SoftmaxState<S>(session.next_buffer().get<S>(SoftmaxState<S>::size(rows, padded)), rows, padded);
    session.run(tasks, [&](Index task, Index worker) {
      const Index begin = task * visits.size() / tasks, end = (task + 1) * visits.size() / tasks;
      attend_visits(run, begin, end, first + count, session.scratch(worker));
    });
    return run;
  }

  /// Computes the sums of the rows [first, first + rows), not yet divided, in memory of the frame.
  SoftmaxState<S> partial(Index first, Index rows, const Values& v, ScratchFrame& frame, WorkerScratch& scratch) const {
    const SoftmaxState<S> sums = take_sums(rows, v, frame);
    attend<false>(first, rows, v, sums, scratch);
    return recompute_if_nonfinite(sums, first, rows, v, frame, scratch);
  }

 private:
  static constexpr Index chunk = SoftmaxChunk::keys, stride = SoftmaxChunk::stride;

  using Panels = ScoreTiles<P, Stages>;
  using Block = typename Panels::Block;
  using Narrow = NarrowPass<P, Stages>;

  /// Computes rows [first, last), from the sums of their visits if there are any.
  template <class Sink>
  void finish(const Run& run, Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    const Index begin = run.visits_before(first), end = run.visits_before(last);
    for (Index i = begin + 1; i < end; ++i) run.slot(begin).merge(run.slot(i), last - first);
    if constexpr (Narrow::possible) {
      const Narrow narrow(problem_, stages_);
      const auto by_tiles = [&](Index i, Index n) { finish_tiles(run, i, i + n, 0, 0, scratch, sink); };
      if (begin == end && narrow.attend(first, last, run.values, scratch, sink, by_tiles)) return;
    }
    if constexpr (requires { sink.request(first, last, scratch.prefetcher); })
      if (begin == end) sink.request(first, last - first, scratch.prefetcher);
    finish_tiles(run, first, last, begin, end, scratch, sink);
  }
  /// Computes rows [first, last) by tiles, or from the sums of the visits [begin, end).
  template <class Sink>
  void finish_tiles(const Run& run, Index first, Index last, Index begin, Index end, WorkerScratch& scratch,
                    Sink&& sink) const {
    const Values& v = run.values;
    ScratchFrame frame(scratch);
    const SoftmaxState<S> sums = begin == end
                                     ? partial(first, last - first, v, frame, scratch)
                                     : recompute_if_nonfinite(run.slot(begin), first, last - first, v, frame, scratch);
    finish_rows(first, last - first, sums, std::get<Form::streamed>(stages_), sink, drops_.scale());
  }

  /// Estimates the number of panels that a block attends to, from one block in the middle. Returns the largest number
  /// if neighboring blocks have so few panels in common that packing per block would pack all panels twice.
  [[nodiscard]] Index estimate_panels(WorkerScratch& scratch) const {
    const Grid& grid = problem_.grid;
    const Index first = grid.n / 2 / height_ * height_, blocks = ceil_div(grid.n, height_);
    const auto count_panels = [&](Index rows) {
      Index number = 0;
      tiles_.plan(first, (std::min)(first + rows, grid.n), scratch.coverage, scratch.block_spans);
      tiles_.for_each_panel(scratch, [&](Index) { ++number; });
      return number;
    };
    if (grid.n == 0) return 0;
    const Index one = count_panels(height_), two = count_panels(2 * height_);
    scratch.block_spans.clear();  // no block has been computed
    return (two - one) * blocks <= 2 * (grid.m / kernels_.width + 1) ? one : (std::numeric_limits<Index>::max)();
  }

  /// Copies rows of V to aligned memory if that pays off. If a block attends to no more panels than fit in a worker's
  /// L2 cache, copies panels on demand, otherwise all of V. Engines that alternate on one worker, such as those of
  /// heads, must get rows that need no copy, because a PanelCache identifies panels only by their numbers.
  Values align_values(const ValueRows<S>& v, Index count, const Session& session) const {
    const Index m = problem_.grid.m, width = kernels_.width;
    if (v.stored ? count <= kernels_.height : !v.benefits_from_copy(count, m)) return {v};
    const Index slots = PanelCache::slots(static_cast<std::size_t>(width * v.padded) * sizeof(S));
    if (v.stored) return cached(v, (std::max)(slots, chunk / width), session);
    const Index panels = estimate_panels(session.scratch(0));
    if (panels <= 2 * height_ / width) return {v};  // a row of V is read by so few groups that a copy takes longer
    if (slots % (chunk / width) != 0 || panels > slots) return {v.copy(m, session)};
    return cached(v, slots, session);
  }
  Values cached(const ValueRows<S>& v, Index slots, const Session& session) const {
    for (Index worker = 0; worker < session.concurrency(); ++worker)
      session.scratch(worker).value_panels.template reset<S>(slots, kernels_.width * v.padded);
    return {v, slots};
  }
  /// Returns the visits of the blocks of rows [first, last), in ascending order.
  Slice<Visit> visits_of(Index first, Index last, const Session& session) const {
    const Index chunks = ceil_div(problem_.grid.m, chunk), blocks = (last - first + height_ - 1) / height_;
    Visit* visits = session.next_buffer().get<Visit>(chunks * blocks);
    Index number = 0;
    WorkerScratch& scratch = session.scratch(0);
    for (; first < last; first += height_) {
      tiles_.plan(first, (std::min)(first + height_, last), scratch.coverage, scratch.block_spans);
      const Index start = number;
      tiles_.for_each_panel(scratch, [&](Index panel) {
        const Index c = panel * kernels_.width / chunk;
        if (number == start || visits[number - 1].chunk != c) visits[number++] = {first, c};
      });
    }
    scratch.block_spans.clear();
    return {visits, visits + number};
  }
  /// Computes the sums of the visits [begin, end), each in its slot.
  void attend_visits(const Run& run, Index begin, Index end, Index last, WorkerScratch& scratch) const {
    const Slice<Visit>& visits = run.visits;
    const Values& v = run.values;
    while (begin < end) {
      const Index first = visits[begin].first;
      Index next = begin;
      while (next < end && visits[next].first == first) ++next;
      const Index rows = (std::min)(height_, last - first);
      ScratchFrame frame(scratch);
      S* queries = tiles_.take_queries(rows, frame);
      S* scores = take_scores(rows, frame);
      const Block block = tiles_.begin(first, rows, queries, scratch);
      for_each_chunk(block, v, scores, {visits[begin].chunk, visits[next - 1].chunk + 1}, scratch, [&](Index c) {
        const SoftmaxState<S> sums = run.slot(begin++);
        for_each_group(block, [&](Index r, Index n) {
          const SoftmaxState<S> to = sums.from(r);
          if (!attend_group<false>(c, block, r, scores + r * stride, v, to, scratch)) to.clear(n);
        });
      });
    }
  }
  /// Returns the sums if they are finite. Otherwise recomputes them without multiplying masked weights by V: a masked
  /// weight is 0, and 0 * Inf is NaN.
  SoftmaxState<S> recompute_if_nonfinite(const SoftmaxState<S>& sums, Index first, Index rows, const Values& v,
                                         ScratchFrame& frame, WorkerScratch& scratch) const {
    if (kernels_.all_finite(sums.out, v.padded, rows, v.padded)) return sums;
    const SoftmaxState<S> again = take_sums(rows, v, frame);
    attend<true>(first, rows, v, again, scratch);
    return again;
  }

  /// Takes memory for the sums of a block and of one more group.
  SoftmaxState<S> take_sums(Index rows, const ValueRows<S>& v, ScratchFrame& frame) const {
    return SoftmaxState<S>(frame.take<S>(size_of_sums(rows, v)), padded_rows(rows), v.padded);
  }
  /// Takes memory for the scores of a block against a chunk.
  S* take_scores(Index rows, ScratchFrame& frame) const { return frame.take<S>(size_of_scores(rows)); }
  [[nodiscard]] Index padded_rows(Index rows) const { return tiles_.round_up(rows) + kernels_.height; }
  [[nodiscard]] Index size_of_sums(Index rows, const ValueRows<S>& v) const {
    return SoftmaxState<S>::size(padded_rows(rows), v.padded);
  }
  [[nodiscard]] Index size_of_scores(Index rows) const { return tiles_.round_up(rows) * stride; }

  /// Computes the sums of the rows [first, first + rows) in memory of take_sums().
  template <bool nonfinite>
  void attend(Index first, Index rows, const Values& v, const SoftmaxState<S>& whole, WorkerScratch& scratch) const {
    ScratchFrame frame(scratch);
    S* queries = tiles_.take_queries(rows, frame);
    S* scores = take_scores(rows, frame);
    const Block block = tiles_.begin(first, rows, queries, scratch);
    const SoftmaxState<S> part = whole.from(tiles_.round_up(rows));
    const GroupPass<P, Stages> pass(problem_, stages_, tiles_, drops_);
    if (pass.pays_off(block, v, scratch)) {
      pass.template attend<nonfinite>(block, v, whole, part, scores, scratch);
      return scratch.prefetcher.clear();
    }
    request_prefetches(block, v, scratch);
    bool any = false;
    for_each_chunk(block, v, scores, all_chunks, scratch, [&](Index c) {
      for_each_group(block, [&](Index r, Index n) {
        const SoftmaxState<S> to = whole.from(r);
        const bool is_visible = attend_group<nonfinite>(c, block, r, scores + r * stride, v, any ? part : to, scratch);
        if (is_visible && any) to.merge(part, n);
        if (!is_visible && !any) to.clear(n);
      });
      any = true;
    });
    if (!any) whole.clear(rows);
    scratch.prefetcher.clear();
  }

  /// Requests prefetches of the panels and the rows of V that this block reads and the previous block did not, up to
  /// the capacity of the prefetcher, and of the next queries.
  void request_prefetches(const Block& block, const Values& v, WorkerScratch& scratch) const {
    if constexpr (!std::remove_reference_t<decltype(problem_.keys)>::in_cache) {
      const Index width = kernels_.width, m = problem_.grid.m, groups = tiles_.round_up(block.rows) / kernels_.height;
      Index panels = 0;
      tiles_.for_each_panel(scratch, [&](Index panel) {
        if (scratch.prefetcher.full()) return;
        ++panels;
        if (tiles_.is_visible_to_previous(panel, scratch)) return;
        problem_.keys.prefetch(panel, scratch.prefetcher);
        v.request(panel * width, (std::min)(width, m - panel * width), scratch.prefetcher);
      });
      problem_.queries.prefetch(block.first + block.rows, block.rows, scratch.prefetcher);
      scratch.prefetcher.pace(panels * groups);
    }
  }

  /// Calls f(chunk) for each chunk in a range that a query of the block attends to, with its scores in `scores`.
  template <class F>
  void for_each_chunk(const Block& block, const Values& v, S* scores, Range range, WorkerScratch& scratch,
                      F&& f) const {
    const Index per_chunk = chunk / kernels_.width;
    Index current = -1;
    tiles_.for_each_panel(scratch,
                          [&](Index panel) {
                            const Index number = panel / per_chunk;
                            if (current != number) {
                              if (current >= 0) f(current);
                              tiles_.request_for_maps(block, number * chunk, (number + 1) * chunk,
                                                      per_chunk * tiles_.round_up(block.rows) / kernels_.height,
                                                      scratch);
                            }
                            current = number;
                            score(panel, block, v, scores + (panel % per_chunk) * kernels_.width, scratch);
                          },
                          {range.begin * per_chunk, range.end * per_chunk});
    if (current >= 0) f(current);
  }
  static constexpr Range all_chunks = {0, (std::numeric_limits<Index>::max)() / chunk};

  /// Calls f(r, n) for the groups of rows [r, r + n) of a block.
  template <class F>
  void for_each_group(const Block& block, F&& f) const {
    for (Index r = 0; r < block.rows; r += kernels_.height) f(r, std::min<Index>(kernels_.height, block.rows - r));
  }

  /// Computes the scores of a panel for the groups that attend to at least one of its keys.
  void score(Index panel, const Block& block, const Values& v, S* to, WorkerScratch& scratch) const {
    v.fetch(panel, kernels_.width, problem_.grid.m, scratch);
    const KeyPanel<S> keys = tiles_.panel_of(panel, block, scratch);
    const auto queries = [&](Index r) { return block.queries + r * problem_.d(); };
    tiles_.visit(
        panel, block, scratch,
        [&](Index r, Index n) {
          for (const Index end = r + n; r < end; r += kernels_.height) {
            scratch.prefetcher.issue();
            tiles_.issue_for_maps(scratch);
            keys.score(queries(r), 1, to + r * stride, stride);
          }
        },
        [&](Index r, Index) {
          scratch.prefetcher.issue();
          tiles_.issue_for_maps(scratch);
          keys.score_columns(queries(r), tiles_.visible_columns(panel, r, scratch), to + r * stride, stride);
        });
  }

  /// Computes the sums of a chunk for the group of row r. Returns false if the group attends to no key of the chunk.
  template <bool nonfinite>
  bool attend_group(Index number, const Block& block, Index r, S* scores, const Values& v, const SoftmaxState<S>& to,
                    WorkerScratch& scratch) const {
    const Index lanes = kernels_.lanes, n = std::min<Index>(kernels_.height, block.rows - r);
    const Index c0 = number * chunk, c1 = (std::min)(c0 + chunk, problem_.grid.m);
    const auto round_down = [&](Index c) { return c / lanes * lanes; };
    const auto round_up = [&](Index c) { return detail::round_up(c, lanes); };
    auto& segments = scratch.segments;
    segments.clear();
    if (c1 == round_up(c1) && tiles_.is_all_visible(c0, c1, scratch)) {
      segments.push_back({0, c1 - c0});
      tiles_.map(scores, stride, block, r, n, c0, c1);
    } else {
      tiles_.plan_groups(block, scratch);
      for (const KeySpan& span : overlapping(tiles_.group(r, scratch), c0, c1)) {
        const Index begin = (std::max)(span.begin, c0) - c0, end = (std::min)(span.end, c1) - c0;
        if (segments.empty() || round_up(segments.back().end) <= round_down(begin))
          segments.push_back({begin, end});
        else
          segments.back().end = end;
      }
      if (segments.empty()) return false;
      for (const kernel::Segment& s : segments)
        tiles_.mask(scores + round_down(s.begin), stride, block, r, n, c0 + round_down(s.begin), c0 + round_up(s.end),
                    scratch);
    }
    typename DroppedWeights<P, Stages>::Rows random;
    v.template attend<nonfinite>(number * (chunk / kernels_.width), kernels_.width, scores, stride, segments, n,
                                 drops_.of(block.first + r, n, c0, random), to, scratch);
    return true;
  }

  const P& problem_;
  const Stages& stages_;
  Panels tiles_;
  DroppedWeights<P, Stages> drops_;
  const kernel::Kernels<S>& kernels_;
  Index height_;
};

}  // namespace filigree::detail
