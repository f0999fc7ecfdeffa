// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <limits>
#include <tuple>
#include <type_traits>

#include "filigree/core/generator.hpp"
#include "filigree/nn/activations.hpp"
#include "filigree/nn/affine.hpp"
#include "filigree/nn/batch_choice.hpp"
#include "filigree/nn/context.hpp"
#include "filigree/nn/penalize.hpp"
#include "filigree/nn/pre_bias.hpp"
#include "filigree/normalize/dropout.hpp"
#include "filigree/pipe/evaluator.hpp"

// How stages take part in a network. A stage of the language that has a derivative is a layer as it is: maps with a
// dy, and whatever makes entries absent, whose choice counts as constant. A layer (its Category is Layer) has
// Scalar, inputs(), outputs(width), weights() of parameters(), and start(parameters, generator). What a stage remembers
// of the way there for the way back is its Step, with
//   void forward(stage, parameters, in, out, context), which sets out, and
//   Gradient backward(stage, parameters, in, out, dy, gradient, needs_input_gradient, context), which gets the dy by
//   what it put out,
//     writes the gradient of its parameters and, if it has to go needs_input_gradient, returns the dy by what it took.

namespace filigree::detail {

template <class T>
inline constexpr bool is_penalize = false;
template <class P>
inline constexpr bool is_penalize<Penalize<P>> = true;

template <class T, class S>
concept DifferentiableMap = MapStage<T> && requires(const T& stage, S x) {
  stage.derivative(x, x);
};
/// What may take the place of its input.
template <class T, class S>
concept MapInPlace = DifferentiableMap<T, S> && requires {
  requires T::derivative_from_output;
};
/// What leaves entries as they are or makes them absent; dropout scales them too.
template <class T>
concept SelectingStage = SelectorStage<T> || WholeMatrixStage<T> || std::same_as<T, Dropout>;
/// A layer with parameters of its own.
template <class T>
concept ParameterLayer = LayerStage<T> && !is_penalize<T>;

template <class T, Real S>
class State {
  static_assert(!sizeof(T), "filigree: network(stages): this stage has no derivative and cannot be a layer");
};

/// Layers that need no memory of the way there.
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
  /// Maps rows [first, last) where they lie.
  static void map(const T& stage, S* all, Index first, Index last, const Grid& grid) {
    if constexpr (requires { stage.map_all(all, Index{}); }) {
      stage.map_all(all + first * grid.m, (last - first) * grid.m);
    } else {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < grid.m; ++j) all[i * grid.m + j] = stage.map(all[i * grid.m + j], i, j, grid);
    }
  }

  /// Turns the dy into that by x, where it lies.
  Gradient<S> backward(const T& stage, const S*, Activations<S>& in, Activations<S>& out, const Gradient<S>& dy, S*,
                       bool, const Context& context) {
    const ConstRows<S> x = in.rows(context.session), y = out.rows(context.session);
    S* d = to_dense(dy, in.n, in.cols, dense_, context.session).data();
    for_each_rows(in.n, context.session, [&](Index first, Index last) {
      for (Index e = first * in.cols; e < last * in.cols; ++e) d[e] *= stage.derivative(x.data()[e], y.data()[e]);
    });
    return {.dense = d};
  }

 private:
  Buffer dense_;
};

template <class T, Real S>
  requires SelectingStage<T>
class State<T, S> {
 public:
  void forward(const T& stage, const S*, Activations<S>& in, Activations<S>& out, const Context& context) {
    const T drawn = at_draw(stage, context.draw);
    grid_ = {.n = in.n, .m = in.cols};
    check_for<S>(drawn, grid_);
    if constexpr (WholeMatrixStage<T>)
      choose_of_all(drawn, in, context.session);
    else
      choose(drawn, in, context.session);
    out.set_lists(in.cols, memory_.lists());
  }

  /// The same for what x W + b would be, x W + b being computed where it is chosen from. Only if fuses().
  void forward_from(const T& stage, const S* weights, const S* biases, Activations<S>& in, Index cols,
                    Activations<S>& out, const Context& context) {
    grid_ = {.n = in.n, .m = cols};
    check_for<S>(stage, grid_);
    memory_.hold(in.n, widest(stage, cols));
    const Affine<S> source(in.rows(context.session), weights, biases, cols);
    const std::tuple<T> stages(stage);
    const SelectionEngine<Affine<S>, std::tuple<T>> engine(source, stages, context.session, in.n);
    for_each_row(engine, 0, in.n, context.session, [&](const Row<S>& row, WorkerScratch&) { memory_.take(row); });
    out.set_lists(cols, memory_.lists());
  }
  /// Whether forward_from() may be called, and is worth it.
  static bool fuses(const T& stage, Index cols) {
    if constexpr (std::same_as<T, TopK>)
      return stage.k <= cols / 16;
    else
      return false;
  }

  /// A dy of lists is that of entries which are kept here too.
  Gradient<S> backward(const T& stage, const S*, Activations<S>&, Activations<S>& out, const Gradient<S>& dy, S*, bool,
                       const Context& context) {
    S scale = 1;
    if constexpr (std::same_as<T, Dropout>) scale = static_cast<S>(1 / (1 - stage.p));
    if (dy.dense != nullptr) memory_.receive(dy, out.cols, context.session);
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
  static Index widest(const T& stage, Index cols) {
    if constexpr (std::same_as<T, TopK>) return (std::min)(stage.k, cols);
    return cols;
  }

  void choose(const T& stage, Activations<S>& in, const Session& session) {
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
  Row<S> row_of(const Activations<S>& in, Index i, WorkerScratch& scratch) const {
    S* values = scratch.values.get<S>(in.cols + Row<S>::padding);
    if (!in.has_lists()) {
      std::copy_n(in.data + i * in.cols, in.cols, values);
      return present(grid_, i, values, scratch);
    }
    Column* columns = scratch.columns.get<Column>(in.cols + Row<S>::padding);
    std::copy_n(in.lists.values + i * in.lists.stride, in.lists.counts[i], values);
    std::copy_n(in.lists.columns + i * in.lists.stride, in.lists.counts[i], columns);
    Row<S> row = make_row(grid_, i, values, columns, in.lists.counts[i], scratch);
    if (in.lists.with_absent) row.filter([&](Index e) { return values[e] != S(0); });
    return row;
  }

  void choose_of_all(const T& stage, Activations<S>& in, const Session& session) {
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
