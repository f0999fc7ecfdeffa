// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <type_traits>

#include "filigree/core/random.hpp"
#include "filigree/nn/penalize.hpp"
#include "filigree/nn/rows.hpp"
#include "filigree/pipe/evaluator.hpp"
#include "filigree/pipe/row_list.hpp"
#include "filigree/weigh/dropout.hpp"

// How stages take part in a network. A stage of the language that has a derivative is a layer as it is: maps with a
// slope, and whatever makes entries absent, whose choice counts as constant. Between two stages of a network
// stands a dense matrix, in which an absent entry is 0. A layer (its Category is Layer) has
// Scalar, inputs(), outputs(width), weights() of parameters(), start(parameters, generator), forward(parameters, x, y,
// session) and backward(parameters, x, dy, dx, gradient, session), which writes the gradient of its parameters and, if
// it is not null, dx.

namespace filigree::detail {

template <class T>
inline constexpr bool is_penalize = false;
template <class P>
inline constexpr bool is_penalize<Penalize<P>> = true;

template <class T, class S>
concept SmoothMap = MapStage<T> && requires(const T& stage, S x) {
  stage.slope(x, x);
};
/// What leaves entries as they are or makes them absent; dropout scales them too.
template <class T>
concept Choosing = SelectorStage<T> || WholeMatrixStage<T> || std::same_as<T, Dropout>;
/// A layer with parameters of its own.
template <class T>
concept OwnLayer = LayerStage<T> && !is_penalize<T>;

/// One stage of a network in a pass, and what it remembers of the way there for the way back.
template <class T, Real S>
class Step {
  static_assert(!sizeof(T), "filigree: network(stages): this stage has no derivative and cannot be a layer");
};

template <class T, Real S>
  requires SmoothMap<T, S>
class Step<T, S> {
 public:
  void forward(const T& stage, const ConstRows<S>& x, S* y, std::uint64_t, const Session& session) {
    const Grid grid = {.n = x.rows(), .m = x.cols()};
    check(stage, grid);
    for_each_rows(x.rows(), session, [&](Index first, Index last) {
      const Index begin = first * x.cols(), end = last * x.cols();
      if constexpr (requires { stage.map_all(y, Index{}); }) {
        std::copy(x.data() + begin, x.data() + end, y + begin);
        stage.map_all(y + begin, end - begin);
      } else {
        for (Index e = begin; e < end; ++e) y[e] = stage.map(x.data()[e], e / x.cols(), e % x.cols(), grid);
      }
    });
  }
  void backward(const T& stage, const ConstRows<S>& x, const S* y, const S* dy, S* dx, const Session& session) const {
    for_each_rows(x.rows(), session, [&](Index first, Index last) {
      for (Index e = first * x.cols(); e < last * x.cols(); ++e) dx[e] = dy[e] * stage.slope(x.data()[e], y[e]);
    });
  }
};

template <class T, Real S>
  requires Choosing<T>
class Step<T, S> {
 public:
  /// `draw` is the number of the pass, for stages that choose by chance.
  void forward(const T& stage, const ConstRows<S>& x, S* y, std::uint64_t draw, const Session& session) {
    const Index n = x.rows(), cols = x.cols();
    grid_ = {.n = n, .m = cols};
    check(stage, grid_);
    Column* columns = columns_.get<Column>(n * cols);
    Index* counts = counts_.get<Index>(n);
    std::fill_n(y, n * cols, S(0));
    const auto keep = [&](Index i, const S* values, const Column* kept, Index count) {
      counts[i] = count;
      std::copy_n(kept, count, columns + i * cols);
      for (Index e = 0; e < count; ++e) y[i * cols + kept[e]] = values[e];
    };
    const T drawn = at_draw(stage, draw);
    if constexpr (WholeMatrixStage<T>) {
      list_.grid = grid_;
      list_.start.assign(1, 0);
      list_.columns.clear();
      list_.values.clear();
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < cols; ++j)
          if (x(i, j) != -std::numeric_limits<S>::infinity()) {
            list_.columns.push_back(static_cast<Column>(j));
            list_.values.push_back(x(i, j));
          }
        list_.start.push_back(list_.count());
      }
      drawn.apply(list_);
      for (Index i = 0; i < n; ++i) {
        const Index begin = list_.start[static_cast<std::size_t>(i)];
        keep(i, list_.values.data() + begin, list_.columns.data() + begin,
             list_.start[static_cast<std::size_t>(i) + 1] - begin);
      }
    } else {
      for (Index worker = 0; worker < session.concurrency(); ++worker) {  // whichever will be called
        session.scratch(worker).values.template get<S>(cols + Row<S>::padding);
        session.scratch(worker).columns.template get<Column>(cols + Row<S>::padding);
      }
      session.run((n + rows_per_task - 1) / rows_per_task, [&](Index task, Index worker) {
        WorkerScratch& scratch = session.scratch(worker);
        S* values = scratch.values.get<S>(cols + Row<S>::padding);
        for (Index i = task * rows_per_task; i < (std::min)((task + 1) * rows_per_task, n); ++i) {
          std::copy_n(x.data() + i * cols, cols, values);
          Row<S> row = present(grid_, i, values, scratch);
          apply(drawn, row);
          keep(i, row.values, row.columns, row.count);
        }
      });
    }
  }
  void backward(const T& stage, const ConstRows<S>& x, const S*, const S* dy, S* dx, const Session& session) {
    const Index cols = x.cols();
    const Column* columns = columns_.get<Column>(0);
    const Index* counts = counts_.get<Index>(0);
    S slope = 1;
    if constexpr (std::same_as<T, Dropout>) slope = static_cast<S>(1 / (1 - stage.p));
    for_each_rows(x.rows(), session, [&](Index first, Index last) {
      std::fill(dx + first * cols, dx + last * cols, S(0));
      for (Index i = first; i < last; ++i)
        for (Index e = i * cols; e < i * cols + counts[i]; ++e)
          dx[i * cols + columns[e]] = dy[i * cols + columns[e]] * slope;
    });
  }

 private:
  static T at_draw(const T& stage, std::uint64_t draw) {
    T drawn = stage;
    if constexpr (std::same_as<T, Dropout>) drawn.seed = Generator(stage.seed, draw).bits64();
    return drawn;
  }

  Grid grid_;
  Buffer columns_, counts_;  // [n][cols] and [n]: what each row kept
  RowList<S> list_;
};

template <class T, Real S>
  requires LayerStage<T>
class Step<T, S> {
};

}  // namespace filigree::detail
