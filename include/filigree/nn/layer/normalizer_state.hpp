// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/nn/layer/row_of.hpp"
#include "filigree/nn/state.hpp"

namespace filigree::detail {

/// A normalizer as a layer, or a selector with a backward() of its own.
template <class T, Real S>
  requires(NormalizerStage<T> || SelectorStage<T>)
&&HasBackward<T, S> class State<T, S> {
 public:
  void forward(const T& stage, Context<S>& context) {
    Activations<S>& in = context.in;
    const Grid grid = {.n = in.n, .m = in.cols};
    check_for<S>(stage, grid);
    before_.allocate(in.n, in.cols);
    after_.allocate(in.n, in.cols);
    for_each_row_of(in, grid, context.session, [&](Row<S>& row) {
      before_.store(row);
      apply(stage, row);
      after_.store(row);
      keep_common_entries(row.index);
    });
    context.out.set_lists(in.cols, after_.lists());
  }

  Gradient<S> backward(const T& stage, Context<S>& context) {
    const Grid grid = {.n = context.in.n, .m = context.in.cols};
    const Lists<S>& out = after_.lists();
    after_.set_gradients(context.dy, grid.m, context.session);
    context.for_each_rows([&](Index first, Index last) {
      RowScratch scratch;
      for (Index i = first; i < last; ++i) {
        const Row<S> x = row(grid, i, before_.lists().values, scratch), y = row(grid, i, out.values, scratch);
        detail::backward(stage, x, y, out.gradients + i * out.stride);
      }
    });
    return {.lists = &out};
  }

 private:
  /// Moves the values before the stage that belong to the entries after it to the front of the row.
  void keep_common_entries(Index i) {
    const Lists<S>&in = before_.lists(), &out = after_.lists();
    const Index at = i * in.stride;
    for (Index e = 0, kept = 0; kept < out.counts[i]; ++e)
      if (in.columns[at + e] == out.columns[i * out.stride + kept]) in.values[at + kept++] = in.values[at + e];
  }
  /// Returns row i of the entries after the stage, with these values.
  Row<S> row(const Grid& grid, Index i, S* values, RowScratch& scratch) const {
    const Lists<S>& out = after_.lists();
    return {.grid = grid,
            .index = i,
            .values = values + i * out.stride,
            .columns = out.columns + i * out.stride,
            .count = out.counts[i],
            .scratch = scratch};
  }

  ListMemory<S> before_, after_;
};

}  // namespace filigree::detail
