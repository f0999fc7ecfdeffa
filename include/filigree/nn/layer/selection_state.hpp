// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <tuple>

#include "filigree/core/buffer.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/nn/layer/row_of.hpp"
#include "filigree/nn/state.hpp"
#include "filigree/run/matrix_engine.hpp"
#include "filigree/stage/dense_row.hpp"

namespace filigree::detail {

/// Applies a stage that keeps or masks entries to every sample. The choice of the entries is treated as constant: their
/// gradients are passed on.
template <class T, Real S>
class SelectionState {
 public:
  void forward(const T& stage, Context<S>& context) {
    Activations<S>& in = context.in;
    grid_ = {.n = in.n, .m = in.cols};
    check_for<S>(stage, grid_);
    if constexpr (WholeMatrixStage<T>)
      select_in_batch(stage, in, context.session);
    else
      select(stage, in, context.session);
    context.out.set_lists(in.cols, memory_.lists());
  }

  /// If dy has lists, their entries are a subset of the kept entries.
  Gradient<S> backward(const T&, Context<S>& context) {
    const Gradient<S>& dy = context.dy;
    if (dy.dense != nullptr) memory_.set_gradients(dy, context.out.cols, context.session);
    return {.lists = dy.dense != nullptr ? &memory_.lists() : dy.lists};
  }

 protected:
  ListMemory<S> memory_;

 private:
  static Index max_kept(const T& stage, Index cols) {
    if constexpr (requires { stage.max_kept(cols); })
      return stage.max_kept(cols);
    else
      return cols;
  }

  void select(const T& stage, Activations<S>& in, const Session& session) {
    memory_.allocate(in.n, max_kept(stage, in.cols));
    for_each_row_of(in, grid_, session, [&](Row<S>& row) {
      apply(stage, row);
      memory_.store(row);
    });
  }

  /// Applies a matrix stage, which is replaced by a selector after it has read the whole batch.
  void select_in_batch(const T& stage, const Activations<S>& in, const Session& session) {
    ScratchFrame frame(session.scratch(0));
    const S* data = in.data;
    const Index stride = in.cols;
    if (in.has_lists()) {
      S* const all = frame.take<S>(size_product(in.n, stride));
      for_each_row_of(in, grid_, session, [&](const Row<S>& row) {
        S* const to = all + row.index * stride;
        std::fill_n(to, stride, DenseRow<S>::absent);
        for (Index e = 0; e < row.count; ++e) to[row.columns[e]] = row.values[e];
      });
      data = all;
    }
    MatrixRows<S> rows{grid_, data, stride};
    const std::tuple<const T&> stages(stage);
    const MatrixEngine<MatrixRows<S>, std::tuple<const T&>, S> engine(rows, stages, session, in.n);
    Index* const counts = memory_.counts(in.n);
    for_each_row(engine, 0, in.n, session,
                 RowSink<S>([&](const Row<S>& row, WorkerScratch&) { counts[row.index] = row.count; }));
    memory_.allocate(in.n, in.n == 0 ? 0 : *std::max_element(counts, counts + in.n));
    for_each_row(engine, 0, in.n, session, RowSink<S>([&](const Row<S>& row, WorkerScratch&) { memory_.store(row); }));
  }

  Grid grid_;
};

/// A selector that passes the gradient on, as a layer.
template <class T, Real S>
  requires(SelectorStage<T> || WholeMatrixStage<T>)
&&PassesGradient<T> class State<T, S> : public SelectionState<T, S> {};

}  // namespace filigree::detail
