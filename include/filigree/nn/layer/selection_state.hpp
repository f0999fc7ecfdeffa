// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/nn/layer/batch_choice.hpp"
#include "filigree/nn/layer/row_of.hpp"
#include "filigree/nn/state.hpp"

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

  void select_in_batch(const T& stage, Activations<S>& in, const Session& session) {
    WorkerScratch& scratch = session.scratch(0);
    ScratchFrame frame(scratch);
    const RowMemory<S> memory(in.cols, frame);
    const RowList<S>& list = batch_choice_.choose(
        stage, in, grid_, [&](Index i) -> Row<S> { return row_of(in, grid_, i, memory, scratch); });
    const auto begin = [&](Index i) { return list.start[i]; };
    Index max_count = 0;
    for (Index i = 0; i < in.n; ++i) max_count = (std::max)(max_count, begin(i + 1) - begin(i));
    memory_.allocate(in.n, max_count);
    for (Index i = 0; i < in.n; ++i)
      memory_.store(i, list.values.data() + begin(i), list.columns.data() + begin(i), begin(i + 1) - begin(i));
  }

  Grid grid_;
  BatchChoice<S> batch_choice_;
};

/// A selector that passes the gradient on, as a layer.
template <class T, Real S>
  requires(SelectorStage<T> || WholeMatrixStage<T>)
&&PassesGradient<T> class State<T, S> : public SelectionState<T, S> {};

}  // namespace filigree::detail
