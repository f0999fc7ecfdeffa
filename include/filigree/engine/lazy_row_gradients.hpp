// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <tuple>
#include <type_traits>
#include <vector>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/active_rows.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/tile_gradients.hpp"
#include "filigree/pattern/patterns_of.hpp"

// The gradients of pipelines with lazy rows, as LazyRowsEngine computes them. Active rows are computed tile by tile.
// The output of a lazy row is a mean of rows of V, so that it has a gradient by V only, the same for each key of the
// mean.

namespace filigree::detail {

/// Consecutive rows in which the lazy ones attend to the same keys, and these keys as ranges.
struct LazyGroup {
  Index rows_begin, rows_end, ranges_begin, ranges_end;
  double weight;  // of each key
};

/// The memory of LazyRowGradients, which a workspace keeps.
template <Real S>
struct LazyRowGradientsMemory {
  Buffer d_outs, d_lse, dq, sums;
  List<LazyGroup> groups;
  List<Range> ranges;
};

template <class P, class Stages>
class LazyRowGradients {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;
  using Patterns = decltype(patterns_of(std::declval<const Stages&>()));
  using Subset = ActiveProblem<P>;
  using SubsetStages = ActiveStages<Patterns>;

 public:
  LazyRowGradients(P& problem, const Stages& stages, const Session& session)
      : problem_(problem),
        stages_(stages),
        session_(session),
        rows_(std::get<Form::lazy>(stages).active()),
        patterns_(patterns_of(stages)),
        memory_(session.template object<LazyRowGradientsMemory<S>>()) {}

  /// Computes the gradients of rows [first, first + count). Returns false, and has written nothing, if an operand is
  /// not finite, if no row is active, or if softmax has a sink, whose gradient needs the outputs of lazy rows.
  bool run(Index first, Index count, const ProductGradient<S>& gradient, const GradientTargets<S>& to,
           ParameterGradients<S>& parameters) {
    const Softmax& softmax = std::get<Form::streamed>(stages_);
    const Index begin = index_of(first), end = index_of(first + count), d = problem_.d();
    if (begin == end || softmax.parameter_count(problem_.grid) > 0 || !is_finite(first, count, gradient)) return false;
    Subset subset = active_problem(problem_, rows_);
    const SubsetStages subset_stages = active_stages(patterns_, rows_, problem_.grid, softmax);
    S* const dq = memory_.dq.template get<S>(size_product(subset.grid.n, d));
    if (!TileGradients<Subset, SubsetStages>(subset, subset_stages, session_)
             .run(begin, end - begin, gradient_of_active(gradient, begin, end), {{dq, d}, to.k, to.v, to.adds},
                  parameters))
      return false;
    for (Index i = 0; i < problem_.grid.n && d > 0; ++i) std::fill_n(to.q.data + i * to.q.stride, d, S(0));
    for (Index r = begin; r < end; ++r) std::copy_n(dq + r * d, d, to.q.data + row(r) * to.q.stride);
    find_groups(first, count);
    add_lazy_rows(gradient, to.v);
    return true;
  }

 private:
  static constexpr Index width = 16;  // features of a task of add_lazy_rows()
  static void add(const double* from, double* to) {
    for (Index f = 0; f < width; ++f) to[f] += from[f];
  }
  [[nodiscard]] Index row(Index r) const { return rows_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] Index index_of(Index row) const {
    return static_cast<Index>(std::lower_bound(rows_.begin(), rows_.end(), row) - rows_.begin());
  }
  [[nodiscard]] bool is_lazy(Index i) const { return std::get<Form::lazy>(stages_).is_lazy(i); }

  /// Returns true if all scores of the rows and their gradients are finite.
  bool is_finite(Index first, Index count, const ProductGradient<S>& gradient) const {
    const double top = largest_key(problem_, session_);
    constexpr Index batch = 256;
    std::atomic<bool> finite{true};
    session_.run(ceil_div(count, batch), [&](Index task, Index worker) {
      ScratchFrame frame(session_.scratch(worker));
      S* const query = frame.take<S>(problem_.d());
      for (Index i = first + task * batch; i < (std::min)(first + (task + 1) * batch, first + count); ++i) {
        const S* const d_out = gradient.d_out.data + (i - gradient.first) * gradient.d_out.stride;
        if (!has_finite_scores(problem_, i, query, top) ||
            !Eigen::Map<const Eigen::Array<S, Eigen::Dynamic, 1>>(d_out, gradient.dv()).allFinite())
          finite.store(false, std::memory_order_relaxed);
      }
    });
    return finite.load();
  }

  /// Copies what the gradient has of the active rows.
  ProductGradient<S> gradient_of_active(const ProductGradient<S>& gradient, Index begin, Index end) {
    const Index dv = gradient.dv();
    S* const d_outs = memory_.d_outs.template get<S>(size_product(end - begin, dv));
    S* const d_lse = memory_.d_lse.template get<S>(end - begin);
    for (Index r = begin; r < end; ++r) {
      const S* const from = gradient.d_out.data + (row(r) - gradient.first) * gradient.d_out.stride;
      std::copy_n(from, dv, d_outs + (r - begin) * dv);
      d_lse[r - begin] = gradient.lse_gradient(row(r));
    }
    return {{d_outs, dv}, begin, gradient.v, d_lse};
  }

  /// Finds the keys that lazy rows attend to.
  void find_groups(Index first, Index count) {
    using PatternStages = std::tuple<const Patterns&>;
    const PatternStages pattern_stages(patterns_);
    const ScoreTiles<P, PatternStages> tiles(problem_, pattern_stages);
    WorkerScratch& scratch = session_.scratch(0);
    memory_.groups.clear();
    memory_.ranges.clear();
    for (Index i = first; i < first + count; ++i) {
      if (!is_lazy(i)) continue;
      if (!memory_.groups.empty() && i < memory_.groups.back().rows_end) continue;
      tiles.plan(i, i + 1, scratch.coverage, scratch.block_spans);
      LazyGroup group{i, (std::min)((std::max)(tiles.same_keys_until(i), i + 1), first + count), memory_.ranges.size(),
                      0, 1};
      Index keys = 0;
      const auto add_range = [&](Index begin, Index end) {
        if (begin == end) return;
        keys += end - begin;
        if (memory_.ranges.size() > group.ranges_begin && memory_.ranges.back().end == begin)
          memory_.ranges.back().end = end;
        else
          memory_.ranges.push_back({begin, end});
      };
      const Grid& grid = problem_.grid;
      for (const KeySpan& span : scratch.block_spans)
        if (span.all)
          add_range(span.begin, span.end);
        else
          for (Index c = span.begin; c < span.end; ++c)
            if (keeps(patterns_, grid.query_at + i, grid.key_at + c, grid)) add_range(c, c + 1);
      group.ranges_end = memory_.ranges.size();
      if (!Form::sums_lazy_rows && keys > 0) group.weight = 1 / static_cast<double>(keys);
      memory_.groups.push_back(group);
    }
    scratch.block_spans.clear();
  }

  /// Adds the gradients of lazy rows to those by V. Each range of keys is the union of O(log m) nodes of a binary tree,
  /// so that a key gets the sum of the nodes above it, without differences of large sums. Tasks have different
  /// features.
  void add_lazy_rows(const ProductGradient<S>& gradient, const kernel::StridedRows<S>& to) {
    const Index m = problem_.grid.m, dv = gradient.dv();
    const Index tasks = m > 0 ? ceil_div(dv, width) : 0, size = 2 * m * width;
    double* const memory = memory_.sums.template get<double>(size_product(tasks, size));
    session_.run(tasks, [&](Index task, Index) {
      const Index begin = task * width, features = (std::min)(width, dv - begin);
      double* const tree = memory + task * size;
      std::fill_n(tree, size, 0.0);
      for (const LazyGroup& group : memory_.groups) {
        double sum[width] = {};
        for (Index i = group.rows_begin; i < group.rows_end; ++i)
          if (is_lazy(i)) {
            const S* const d_out = gradient.d_out.data + (i - gradient.first) * gradient.d_out.stride + begin;
            for (Index f = 0; f < features; ++f) sum[f] += static_cast<double>(d_out[f]);
          }
        for (double& x : sum) x *= group.weight;
        for (Index at = group.ranges_begin; at < group.ranges_end; ++at)
          for (Index l = memory_.ranges[at].begin + m, r = memory_.ranges[at].end + m; l < r; l /= 2, r /= 2) {
            if (l % 2 == 1) add(sum, tree + l++ * width);
            if (r % 2 == 1) add(sum, tree + --r * width);
          }
      }
      for (Index node = 1; node < m; ++node) {
        add(tree + node * width, tree + 2 * node * width);
        add(tree + node * width, tree + (2 * node + 1) * width);
      }
      for (Index c = 0; c < m; ++c)
        for (Index f = 0; f < features; ++f) {
          S& x = to.data[c * to.stride + begin + f];
          x = static_cast<S>(static_cast<double>(x) + tree[(m + c) * width + f]);
        }
    });
  }

  P& problem_;
  const Stages& stages_;
  const Session& session_;
  const std::vector<Index>& rows_;
  Patterns patterns_;
  LazyRowGradientsMemory<S>& memory_;
};

}  // namespace filigree::detail
