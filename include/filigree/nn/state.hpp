// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <tuple>

#include "filigree/core/generator.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/selection.hpp"
#include "filigree/nn/activations.hpp"
#include "filigree/nn/context.hpp"
#include "filigree/nn/layer/affine.hpp"
#include "filigree/nn/layer/batch_choice.hpp"
#include "filigree/nn/layer/penalize.hpp"
#include "filigree/nn/layer/pre_bias.hpp"
#include "filigree/normalize/dropout.hpp"
#include "filigree/run/evaluator.hpp"

// How stages take part in a network. Any stage with a derivative can be a layer: maps with a derivative(), and stages
// that mask entries, whose selection is treated as constant. A stage with Category = Layer has Scalar, inputs(),
// outputs(width), weight_count(), parameter_count() and initialize(parameters, generator). State<Stage, Scalar> stores
// the data of the forward pass that the backward pass needs, and has two functions:
//   void forward(stage, parameters, in, out, context) sets out.
//   Gradient backward(stage, parameters, in, out, dy, gradient, needs_input_gradient, context) takes dy, the gradient
//     with respect to the output. It writes the gradient of the parameters and, if needs_input_gradient, returns the
//     gradient with respect to the input.

namespace filigree::detail {

template <class T>
inline constexpr bool is_penalize = false;
template <class P>
inline constexpr bool is_penalize<Penalize<P>> = true;

/// A map whose output may overwrite its input, because its derivative depends only on the output.
template <class T, class S>
concept MapInPlace = DifferentiableMap<T, S> && requires {
  requires T::derivative_from_output;
};
/// A stage that keeps or masks entries. Dropout also scales them.
template <class T>
concept SelectingStage = SelectorStage<T> || WholeMatrixStage<T> || std::same_as<T, Dropout>;
/// A layer that may have parameters.
template <class T>
concept ParameterLayer = LayerStage<T> && !is_penalize<T>;

template <class T, Real S>
class State {
  static_assert((require_derivative<T, S>(), true));
  static_assert(!sizeof(T), "filigree: network(stages): this stage has no derivative and cannot be a layer");
};

/// The state of layers that store nothing for the backward pass.
template <class T, Real S>
  requires(is_penalize<T> || std::same_as<T, PreBias>)
class State<T, S> {};

template <class T, Real S>
  requires DifferentiableMap<T, S>
class State<T, S> {
 public:
  void forward(const T& stage, const S*, Activations<S>& in, Activations<S>& out, const Context& context) {
    const ConstRows<S> x = in.rows(context.session);
    const Grid grid = {.n = in.n, .m = in.cols};
    check_for<S>(stage, grid);
    S* y = out.set_dense(in.n, in.cols);
    for_each_rows(in.n, context.session, [&](Index first, Index last) {
      std::copy(x.data() + first * in.cols, x.data() + last * in.cols, y + first * in.cols);
      map(stage, y, first, last, grid);
    });
  }
  /// Maps rows [first, last) in place.
  static void map(const T& stage, S* all, Index first, Index last, const Grid& grid) {
    if constexpr (MapsVectors<T, S>) {
      stage.map_all(all + first * grid.m, (last - first) * grid.m);
    } else {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < grid.m; ++j) all[i * grid.m + j] = stage.map(all[i * grid.m + j], i, j, grid);
    }
  }

  /// Computes the gradient with respect to the input, in place of dy.
  Gradient<S> backward(const T& stage, const S*, Activations<S>& in, Activations<S>& out, const Gradient<S>& dy, S*,
                       bool, const Context& context) {
    const ConstRows<S> x = in.rows(context.session), y = out.rows(context.session);
    S* d = to_dense(dy, in.n, in.cols, dense_, context.session).data();
    const Grid grid = {.n = in.n, .m = in.cols};
    for_each_rows(in.n, context.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index j = 0, e = i * in.cols; j < in.cols; ++j, ++e)
          d[e] *= derivative_at(stage, x.data()[e], y.data()[e], i, j, grid);
    });
    return {.dense = d};
  }

 private:
  Buffer dense_;
};

template <class T, Real S>
  requires SelectingStage<T>
class State<T, S> {
  static_assert((require_derivative<T, S>(), true));

 public:
  void forward(const T& stage, const S*, Activations<S>& in, Activations<S>& out, const Context& context) {
    const T drawn = at_draw(stage, context.draw);
    grid_ = {.n = in.n, .m = in.cols};
    check_for<S>(drawn, grid_);
    if constexpr (WholeMatrixStage<T>)
      select_in_batch(drawn, in, context.session);
    else
      select(drawn, in, context.session);
    out.set_lists(in.cols, memory_.lists());
  }

  /// Computes the same for the input x W + b, without storing it. May be called only if fuses().
  void forward_from(const T& stage, const S* weights, const S* biases, Activations<S>& in, Index cols,
                    Activations<S>& out, const Context& context) {
    grid_ = {.n = in.n, .m = cols};
    check_for<S>(stage, grid_);
    memory_.allocate(in.n, max_kept(stage, cols));
    AffineProblem<S> problem = affine_problem(in.rows(context.session), weights, biases, cols, context.session);
    const std::tuple<T> stages(stage);
    const SelectionEngine<AffineProblem<S>, std::tuple<T>> engine(problem, stages, context.session, in.n);
    for_each_row(engine, 0, in.n, context.session, [&](const Row<S>& row, WorkerScratch&) { memory_.store(row); });
    out.set_lists(cols, memory_.lists());
  }
  /// Returns true if forward_from() is supported and faster.
  static bool fuses(const T& stage, Index cols) {
    if constexpr (std::same_as<T, TopK>)
      return stage.k <= cols / 16;
    else
      return false;
  }

  /// If dy has lists, their entries are a subset of the kept entries.
  Gradient<S> backward(const T& stage, const S*, Activations<S>&, Activations<S>& out, const Gradient<S>& dy, S*, bool,
                       const Context& context) {
    S scale = 1;
    if constexpr (std::same_as<T, Dropout>) scale = static_cast<S>(1 / (1 - stage.p));
    if (dy.dense != nullptr) memory_.set_gradients(dy, out.cols, context.session);
    const Lists<S>& kept = dy.dense != nullptr ? memory_.lists() : *dy.lists;
    if (scale != 1)
      for_each_rows(kept.n, context.session, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i)
          for (Index e = i * kept.stride; e < i * kept.stride + kept.counts[i]; ++e) kept.gradients[e] *= scale;
      });
    return {.lists = &kept};
  }

 private:
  static T at_draw(const T& stage, std::uint64_t draw) {
    T drawn = stage;
    if constexpr (std::same_as<T, Dropout>) drawn.seed = Generator(stage.seed, draw).bits64();
    return drawn;
  }
  static Index max_kept(const T& stage, Index cols) {
    if constexpr (std::same_as<T, TopK>) return (std::min)(stage.k, cols);
    return cols;
  }

  void select(const T& stage, Activations<S>& in, const Session& session) {
    memory_.allocate(in.n, max_kept(stage, in.cols));
    for (Index worker = 0; worker < session.concurrency(); ++worker) {  // any worker may run a task
      ScratchFrame frame(session.scratch(worker));
      (void)RowMemory(in.cols, frame);
    }
    session.run(ceil_div(in.n, rows_per_task), [&](Index task, Index worker) {
      WorkerScratch& scratch = session.scratch(worker);
      ScratchFrame frame(scratch);
      const RowMemory memory(in.cols, frame);
      for (Index i = task * rows_per_task; i < (std::min)((task + 1) * rows_per_task, in.n); ++i) {
        Row<S> row = row_of(in, i, memory, scratch);
        apply(stage, row);
        memory_.store(row);
      }
    });
  }
  /// The memory of a row.
  struct RowMemory {
    RowMemory(Index cols, ScratchFrame& frame)
        : values(frame.take<S>(cols + Row<S>::padding)), columns(frame.take<Column>(cols + Row<S>::padding)) {}
    S* values;
    Column* columns;
  };
  /// Returns row i of the input, in memory that stages may overwrite.
  Row<S> row_of(const Activations<S>& in, Index i, const RowMemory& memory, WorkerScratch& scratch) const {
    const auto [values, columns] = memory;
    if (!in.has_lists()) {
      std::copy_n(in.data + i * in.cols, in.cols, values);
      return present(grid_, i, values, columns, scratch);
    }
    std::copy_n(in.lists.values + i * in.lists.stride, in.lists.counts[i], values);
    std::copy_n(in.lists.columns + i * in.lists.stride, in.lists.counts[i], columns);
    Row<S> row = make_row(grid_, i, values, columns, in.lists.counts[i], scratch);
    if (in.lists.stores_absent) row.filter([&](Index e) { return row.values[e] != S(0); });
    return row;
  }

  void select_in_batch(const T& stage, Activations<S>& in, const Session& session) {
    WorkerScratch& scratch = session.scratch(0);
    ScratchFrame frame(scratch);
    const RowMemory memory(in.cols, frame);
    const RowList<S>& list =
        batch_choice_.choose(stage, in, grid_, [&](Index i) -> Row<S> { return row_of(in, i, memory, scratch); });
    const auto begin = [&](Index i) { return list.start[i]; };
    Index max_count = 0;
    for (Index i = 0; i < in.n; ++i) max_count = (std::max)(max_count, begin(i + 1) - begin(i));
    memory_.allocate(in.n, max_count);
    for (Index i = 0; i < in.n; ++i)
      memory_.store(i, list.values.data() + begin(i), list.columns.data() + begin(i), begin(i + 1) - begin(i));
  }

  Grid grid_;
  ListMemory<S> memory_;
  BatchChoice<S> batch_choice_;
};

}  // namespace filigree::detail
