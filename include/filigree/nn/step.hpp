// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <limits>
#include <tuple>
#include <type_traits>

#include "filigree/core/random.hpp"
#include "filigree/nn/affine.hpp"
#include "filigree/nn/batch_choice.hpp"
#include "filigree/nn/flow.hpp"
#include "filigree/nn/penalize.hpp"
#include "filigree/nn/pre_bias.hpp"
#include "filigree/pipe/evaluator.hpp"
#include "filigree/weigh/dropout.hpp"

// How stages take part in a network. A stage of the language that has a derivative is a layer as it is: maps with a
// slope, and whatever makes entries absent, whose choice counts as constant. A layer (its Category is Layer) has
// Scalar, inputs(), outputs(width), weights() of parameters(), and start(parameters, generator). What a stage remembers
// of the way there for the way back is its Step, with
//   void forward(stage, parameters, in, out, way), which sets out, and
//   Slope backward(stage, parameters, in, out, slope, gradient, further, way), which gets the slope by what it put out,
//     writes the gradient of its parameters and, if it has to go further, returns the slope by what it took.

namespace filigree::detail {

template <class T>
inline constexpr bool is_penalize = false;
template <class P>
inline constexpr bool is_penalize<Penalize<P>> = true;

template <class T, class S>
concept SmoothMap = MapStage<T> && requires(const T& stage, S x) {
  stage.slope(x, x);
};
/// What may take the place of its input.
template <class T, class S>
concept MapInPlace = SmoothMap<T, S> && requires {
  requires T::slope_of_value;
};
/// What leaves entries as they are or makes them absent; dropout scales them too.
template <class T>
concept Choosing = SelectorStage<T> || WholeMatrixStage<T> || std::same_as<T, Dropout>;
/// A layer with parameters of its own.
template <class T>
concept OwnLayer = LayerStage<T> && !is_penalize<T>;

template <class T, Real S>
class Step {
  static_assert(!sizeof(T), "filigree: network(stages): this stage has no derivative and cannot be a layer");
};

/// Layers that need no memory of the way there.
template <class T, Real S>
  requires(is_penalize<T> || std::same_as<T, PreBias>)
class Step<T, S> {};

template <class T, Real S>
  requires SmoothMap<T, S>
class Step<T, S> {
 public:
  void forward(const T& stage, const S*, Flow<S>& in, Flow<S>& out, const Way& way) {
    const ConstRows<S> x = in.rows(way.session);
    const Grid grid = {.n = in.n, .m = in.cols};
    check_for<S>(stage, grid);
    S* y = out.fill(in.n, in.cols);
    for_each_rows(in.n, way.session, [&](Index first, Index last) {
      std::copy(x.data() + first * in.cols, x.data() + last * in.cols, y + first * in.cols);
      map(stage, y, first, last, grid);
    });
  }
  /// Maps rows [first, last) where they lie.
  static void map(const T& stage, S* all, Index first, Index last, const Grid& grid) {
    if constexpr (requires { stage.map_all(all, Index{}); }) {
      stage.map_all(all + first * grid.m, (last - first) * grid.m);
    } else {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < grid.m; ++j) all[i * grid.m + j] = stage.map(all[i * grid.m + j], i, j, grid);
    }
  }

  /// Turns the slope into that by x, where it lies.
  Slope<S> backward(const T& stage, const S*, Flow<S>& in, Flow<S>& out, const Slope<S>& slope, S*, bool,
                    const Way& way) {
    const ConstRows<S> x = in.rows(way.session), y = out.rows(way.session);
    S* d = spread(slope, in.n, in.cols, spread_, way.session).data();
    for_each_rows(in.n, way.session, [&](Index first, Index last) {
      for (Index e = first * in.cols; e < last * in.cols; ++e) d[e] *= stage.slope(x.data()[e], y.data()[e]);
    });
    return {.all = d};
  }

 private:
  Buffer spread_;
};

template <class T, Real S>
  requires Choosing<T>
class Step<T, S> {
 public:
  void forward(const T& stage, const S*, Flow<S>& in, Flow<S>& out, const Way& way) {
    const T drawn = at_draw(stage, way.draw);
    grid_ = {.n = in.n, .m = in.cols};
    check_for<S>(drawn, grid_);
    if constexpr (WholeMatrixStage<T>)
      choose_of_all(drawn, in, way.session);
    else
      choose(drawn, in, way.session);
    out.keep(in.cols, memory_.lists());
  }

  /// The same for what x W + b would be, x W + b being computed where it is chosen from. Only if fuses().
  void forward_from(const T& stage, const S* weights, const S* biases, Flow<S>& in, Index cols, Flow<S>& out,
                    const Way& way) {
    grid_ = {.n = in.n, .m = cols};
    check_for<S>(stage, grid_);
    memory_.hold(in.n, widest(stage, cols));
    const Affine<S> source(in.rows(way.session), weights, biases, cols);
    const std::tuple<T> stages(stage);
    const SelectionEngine<Affine<S>, std::tuple<T>> engine(source, stages, way.session, in.n);
    for_each_row(engine, 0, in.n, way.session, [&](const Row<S>& row, WorkerScratch&) { memory_.take(row); });
    out.keep(cols, memory_.lists());
  }
  /// Whether forward_from() may be called, and is worth it.
  static bool fuses(const T& stage, Index cols) {
    if constexpr (std::same_as<T, TopK>)
      return stage.k <= cols / 16;
    else
      return false;
  }

  /// A slope of lists is that of entries which are kept here too.
  Slope<S> backward(const T& stage, const S*, Flow<S>&, Flow<S>& out, const Slope<S>& slope, S*, bool, const Way& way) {
    S scale = 1;
    if constexpr (std::same_as<T, Dropout>) scale = static_cast<S>(1 / (1 - stage.p));
    if (slope.all != nullptr) memory_.receive(slope, out.cols, way.session);
    const Lists<S>& kept = slope.all != nullptr ? memory_.lists() : *slope.kept;
    if (scale != 1)
      for_each_rows(kept.n, way.session, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i)
          for (Index e = i * kept.stride; e < i * kept.stride + kept.counts[i]; ++e) kept.slopes[e] *= scale;
      });
    return {.kept = &kept};
  }

 private:
  static T at_draw(const T& stage, std::uint64_t draw) {
    T drawn = stage;
    if constexpr (std::same_as<T, Dropout>) drawn.seed = Generator(stage.seed, draw).bits64();
    return drawn;
  }
  static Index widest(const T& stage, Index cols) {
    if constexpr (std::same_as<T, TopK>) return (std::min)(stage.k, cols);
    return cols;
  }

  void choose(const T& stage, Flow<S>& in, const Session& session) {
    const Index cols = in.cols, room = cols + Row<S>::padding;
    memory_.hold(in.n, widest(stage, cols));
    for (Index worker = 0; worker < session.concurrency(); ++worker) {  // whichever will be called
      session.scratch(worker).values.template get<S>(room);
      session.scratch(worker).columns.template get<Column>(room);
    }
    session.run((in.n + rows_per_task - 1) / rows_per_task, [&](Index task, Index worker) {
      WorkerScratch& scratch = session.scratch(worker);
      for (Index i = task * rows_per_task; i < (std::min)((task + 1) * rows_per_task, in.n); ++i) {
        Row<S> row = row_of(in, i, scratch);
        apply(stage, row);
        memory_.take(row);
      }
    });
  }
  /// Row i of what comes in, in memory that stages may write.
  Row<S> row_of(const Flow<S>& in, Index i, WorkerScratch& scratch) const {
    S* values = scratch.values.get<S>(in.cols + Row<S>::padding);
    if (!in.listed()) {
      std::copy_n(in.all + i * in.cols, in.cols, values);
      return present(grid_, i, values, scratch);
    }
    Column* columns = scratch.columns.get<Column>(in.cols + Row<S>::padding);
    std::copy_n(in.lists.values + i * in.lists.stride, in.lists.counts[i], values);
    std::copy_n(in.lists.columns + i * in.lists.stride, in.lists.counts[i], columns);
    Row<S> row = make_row(grid_, i, values, columns, in.lists.counts[i], scratch);
    if (in.lists.with_absent) row.filter([&](Index e) { return values[e] != S(0); });
    return row;
  }

  void choose_of_all(const T& stage, Flow<S>& in, const Session& session) {
    WorkerScratch& scratch = session.scratch(0);
    const RowList<S>& list =
        of_all_.choose(stage, in, grid_, [&](Index i) -> Row<S> { return row_of(in, i, scratch); });
    const auto begin = [&](Index i) { return list.start[i]; };
    Index most = 0;
    for (Index i = 0; i < in.n; ++i) most = (std::max)(most, begin(i + 1) - begin(i));
    memory_.hold(in.n, most);
    for (Index i = 0; i < in.n; ++i)
      memory_.take(i, list.values.data() + begin(i), list.columns.data() + begin(i), begin(i + 1) - begin(i));
  }

  Grid grid_;
  ListMemory<S> memory_;
  BatchChoice<S> of_all_;
};

}  // namespace filigree::detail
