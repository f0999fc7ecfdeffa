// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/core/integers.hpp"
#include "filigree/engine/active_rows.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/online_softmax.hpp"
#include "filigree/engine/prefix_sums.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/pattern/patterns_of.hpp"
#include "filigree/run/engine_kind.hpp"
#include "filigree/run/evaluator.hpp"

// The engine of lazy rows: scores | patterns and a map that sets the scores of most rows to 0 | softmax, times V. The
// output of a lazy row, whose scores are all 0, is a mean of rows of V, computed from prefix sums. The other rows are
// computed by the online softmax engine.

namespace filigree::detail {

/// A map after softmax that sets the weights of a lazy row to 1 for each key that it attends to. It keeps NaN.
template <class Rows>
struct LazyRowWeights {
  using Category = ScoreMap;
  static constexpr bool weighs_lazy_rows = true;
  Rows rows;

  template <Real S>
  S map(S weight, Index p, Index, const Grid& grid) const {
    return rows.is_lazy(grid.row(p)) && weight == weight ? S(1) : weight;
  }
  template <Real S>
  S derivative(S, S, Index p, Index, const Grid& grid) const {
    return rows.is_lazy(grid.row(p)) ? S(0) : S(1);
  }
};

/// The engine of lazy rows. Its sink is the sink of a product.
template <class P, class Stages>
class LazyRowsEngine {
  using Form = detail::Form<Stages>;
  using S = typename P::Scalar;
  using Patterns = decltype(patterns_of(std::declval<const Stages&>()));
  using ActiveProblem = detail::ActiveProblem<P>;
  using ActiveStages = detail::ActiveStages<Patterns>;

 public:
  /// The prefix sums of V, and the largest magnitude of a key.
  struct Run {
    const LazyRowsEngine& engine;
    PrefixSums<S> sums{};
    double largest_key = 0;

    template <class Sink>
    void rows(Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
      engine.finish(*this, first, last, scratch, sink);
    }
  };
  static constexpr bool fused = true;
  static constexpr EngineKind kind = EngineKind::lazy_rows;

  LazyRowsEngine(P& problem, const Stages& stages, const Session& session, Index count)
      : problem_(problem),
        rows_(std::get<Form::lazy>(stages).active()),
        lazy_(std::get<Form::lazy>(stages)),
        patterns_(patterns_of(stages)),
        pattern_stages_(patterns_),
        tiles_(problem, pattern_stages_),
        exact_(problem, stages, session, count),
        active_problem_(active_problem(problem, rows_)),
        active_stages_(active_stages(patterns_, rows_, problem.grid, std::get<Form::streamed>(stages))),
        active_engine_(active_problem_, active_stages_, session, (std::min)(count, static_cast<Index>(rows_.size()))),
        sink_(std::get<Form::streamed>(stages).sink) {
    const Index tasks = session.concurrency() > 1 ? 4 * session.concurrency() : 1;
    height_ = std::max<Index>(ceil_div(count, tasks), 64);
  }

  [[nodiscard]] Index height() const { return height_; }

  template <class Sink>
  void reserve(WorkerScratch& scratch, const Sink& sink) const {
    active_engine_.reserve(scratch, sink);
  }

  /// Computes the prefix sums, and then the active rows as tasks of their own: their positions are irregular, so the
  /// tasks of rows() would be unbalanced.
  template <OutputSink<S> Sink>
  Run prepare(Index first, Index count, const Session& session, Sink&& sink) const {
    Run run{*this};
    run.sums.compute(sink.values(), problem_.grid.m, session);
    const auto index_of = [&](Index row) {
      return static_cast<Index>(std::lower_bound(rows_.begin(), rows_.end(), row) - rows_.begin());
    };
    const Index begin = index_of(first), end = index_of(first + count), height = active_engine_.height();
    if (begin == end || end - begin < count) run.largest_key = largest_key(problem_, session);
    const auto active = active_engine_.with_values(sink.values());
    session.run((end - begin + height - 1) / height, [&](Index task, Index worker) {
      const Index r = begin + task * height;
      active.rows(r, (std::min)(r + height, end), session.scratch(worker), ToRows<Sink>{sink, rows_});
    });
    return run;
  }

 private:
  template <class Sink>
  void finish(const Run& run, Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    ScratchFrame frame(scratch);
    S* query = frame.take<S>(problem_.d());
    S* out = frame.take<S>(sink.values().padded);
    Index same_until = first;
    kernel::LogSumExp<S> sums{};
    for (Index i = first; i < last; ++i) {
      if (!lazy_.is_lazy(i)) continue;
      if (!has_finite_scores(problem_, i, query, run.largest_key)) {
        exact_.rows(i, i + 1, scratch, sink);
        same_until = i;
        continue;
      }
      if (i >= same_until) {
        tiles_.plan(i, i + 1, scratch.coverage, scratch.block_spans);
        same_until = tiles_.same_keys_until(i);
        sums = mean(run.sums, i, sink.values(), out, scratch);
      }
      sink.take(i, out, sums);
    }
  }

  template <class Sink>
  struct ToRows {
    Sink& sink;
    const std::vector<Index>& rows;
    [[nodiscard]] const ValueRows<S>& values() const { return sink.values(); }
    void take(Index r, const S* out, const kernel::LogSumExp<S>& sums) const {
      sink.take(rows[static_cast<std::size_t>(r)], out, sums);
    }
  };

  /// Computes the mean (or the sum) of the rows of V that row i attends to, into `out`.
  kernel::LogSumExp<S> mean(const PrefixSums<S>& prefix_sums, Index i, const ValueRows<S>& v, S* out,
                            WorkerScratch& scratch) const {
    const Grid& grid = problem_.grid;
    Index count = 0, maybe_count = 0;
    for (const KeySpan& span : scratch.block_spans)
      if (span.all)
        count += span.end - span.begin;
      else
        maybe_count += span.end - span.begin;
    ScratchFrame frame(scratch);
    Column* separate = frame.take<Column>(
        maybe_count + static_cast<Index>(scratch.block_spans.size()) * prefix_sums.max_separate() + Row<S>::padding);
    Index separate_count = 0;
    double* total = frame.take<double>(v.dv);
    std::fill_n(total, v.dv, 0.0);
    for (const KeySpan& span : scratch.block_spans) {
      if (span.all) {
        prefix_sums.add(span.begin, span.end, total,
                        [&](Index c) { separate[separate_count++] = static_cast<Column>(c); });
        continue;
      }
      for (Index c = span.begin; c < span.end; ++c)
        if (keeps(patterns_, grid.query_at + i, grid.key_at + c, grid)) {
          separate[separate_count++] = static_cast<Column>(c);
          ++count;
        }
    }
    if (count == 0) {
      std::fill_n(out, v.dv, S(0));
      return {static_cast<S>(sink_), sink_ > -std::numeric_limits<double>::infinity() ? S(1) : S(0)};
    }
    // All scores are 0, except the sink's.
    const double top = (std::max)(sink_, 0.0), one = std::exp(-top), all = static_cast<double>(count) * one;
    const double denominator = all + std::exp(sink_ - top), weight = Form::sums_lazy_rows ? 1.0 : one / denominator;
    S* weights = frame.take<S>(separate_count + Row<S>::padding);
    std::fill_n(weights, separate_count, static_cast<S>(weight));
    S* rest = frame.take<S>(v.padded);
    kernel::kernels<S>().gather(rest, weights, separate, separate_count, v.data, v.stride, v.padded);
    for (Index f = 0; f < v.dv; ++f) out[f] = static_cast<S>(total[f] * weight + static_cast<double>(rest[f]));
    return {static_cast<S>(top), static_cast<S>(denominator)};
  }

  using Lazy = typename Form::template StageAt<Form::lazy>;

  const P& problem_;
  const std::vector<Index>& rows_;
  const Lazy& lazy_;
  Patterns patterns_;
  std::tuple<const Patterns&> pattern_stages_;
  ScoreTiles<P, std::tuple<const Patterns&>> tiles_;
  RowEngine<P, Stages, S> exact_;
  ActiveProblem active_problem_;
  ActiveStages active_stages_;
  OnlineSoftmaxEngine<ActiveProblem, ActiveStages> active_engine_;
  double sink_;
  Index height_;
};

}  // namespace filigree::detail
