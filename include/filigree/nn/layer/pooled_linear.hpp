// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/core/integers.hpp"
#include "filigree/nn/by_column.hpp"
#include "filigree/nn/layer/linear_tile.hpp"
#include "filigree/nn/layer/pool.hpp"
#include "filigree/score_map/log1p_relu.hpp"

namespace filigree::detail {

/// linear(d, m) | log1p_relu() | pool_max() without the N x m outputs of the linear layer.
///
/// Tiles of the outputs are computed one after another. The largest output of each sequence and column so far, and its
/// token, are updated by each tile. The outputs and the tokens are those of the stages one after another: the map is
/// monotone, so it is applied to the maxima only. Two outputs whose images round to the same number are a tie, which
/// the first token wins.
/// Cost  2 N d m operations, and 2 s m numbers for s sequences; the backward pass: 4 s kept d operations
template <Real S>
class PooledLinear {
 public:
  void forward(const Linear<S>& layer, const Pool<Pooling::max>& pool, Context<S>& context, Activations<S>& out) {
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), cols = layer.out, count = pool.sequence_count(context.sequence_count());
    Column* const sequences = sequences_.get<Column>((std::max)(n, Index{1}));
    Column number = 0;
    for_each_pooled(pool, context,
                    [&](Index first, Index last) { std::fill(sequences + first, sequences + last, number++); });
    S* const y = out.set_dense(count, cols);
    Column* const tokens = tokens_.get<Column>((std::max)(count * cols, Index{1}));
    const Tile tile = {sequences, y, tokens, tile_.get<S>(tile_rows * (std::min)(tile_cols, cols))};
    std::fill_n(y, count * cols, S(0));
    for (Index begin = 0; begin < cols; begin += tile_cols)
      for (Index first = 0; first < n; first += tile_rows)
        add(layer, context, x, tile, {first, (std::min)(first + tile_rows, n)},
            {begin, (std::min)(begin + tile_cols, cols)});
    context.session.run(count, [&](Index s, Index) { Log1pRelu().map_all(y + s * cols, cols); });
  }

  /// dy is the gradient with respect to `out`, the outputs of the last forward pass.
  Gradient<S> backward(const Linear<S>& layer, Context<S>& context, const Activations<S>& out, const Gradient<S>& dy) {
    const Session& session = context.session;
    const Index cols = layer.out;
    const Column* const tokens = tokens_.get<Column>(0);
    by_column_.sort(cols, [&](auto&& f) {
      const auto entry = [&](Index s, Index j, S d) {
        const S gradient = d * Log1pRelu().derivative(S(0), out.data[s * cols + j]);
        if (gradient != 0) f(Index{tokens[s * cols + j]}, j, gradient);
      };
      for (Index s = 0; s < out.n; ++s) {
        if (dy.dense != nullptr)
          for (Index j = 0; j < cols; ++j) entry(s, j, dy.dense[s * cols + j]);
        else
          for (Index e = s * dy.lists->stride; e < s * dy.lists->stride + dy.lists->counts[s]; ++e)
            entry(s, dy.lists->columns[e], dy.lists->gradients[e]);
      }
    });
    S* const biases = context.gradient + layer.weight_count();
    multiply_transposed(context.inputs(), by_column_, cols, context.gradient, session);
    if (layer.skip > 0)
      multiply_transposed(context.network.input->rows(session), by_column_, cols, context.gradient + layer.in * cols,
                          session);
    for (Index j = 0; j < cols; ++j) biases[j] = by_column_.sum(j);
    if (!context.needs_input_gradient) return {};
    S* const dx = gradients_.get<S>((std::max)(context.in.n * layer.in, Index{1}));
    add_input_gradients(layer, context, dx);
    return {.dense = dx};
  }

 private:
  static constexpr Index tile_rows = 512, tile_cols = 1024;  // 2 MiB of floats
  static constexpr Index columns_per_task = 128, batch = 16, features_per_task = 8;

  struct Tile {
    const Column* sequences;  // [n] of each token
    S* y;                     // [sequences][cols] the largest outputs so far, at least 0, or NaN
    Column* tokens;           // [sequences][cols] where they are
    S* outputs;               // [tile_rows][columns of the tile]
  };

  static void add(const Linear<S>& layer, const Context<S>& context, const ConstRows<S>& x, const Tile& tile,
                  const TileRange& rows, const TileRange& columns) {
    const Session& session = context.session;
    const Index cols = layer.out, width = columns.size();
    multiply_tile<S>(layer, context, x, rows, {context.parameters + columns.begin, layer.in, width, cols, 1},
                     context.parameters + layer.weight_count() + columns.begin, tile.outputs);
    session.run(ceil_div(width, columns_per_task), [&](Index task, Index) {
      const Index begin = task * columns_per_task, end = (std::min)(begin + columns_per_task, width);
      for (Index i = rows.begin; i < rows.end; ++i) {
        const Index at = tile.sequences[i] * cols + columns.begin;
        const S* const z = tile.outputs + (i - rows.begin) * width;
        S* const y = tile.y + at;
        Column* const tokens = tile.tokens + at;
        if (i == 0 || tile.sequences[i] != tile.sequences[i - 1])
          std::fill(tokens + begin, tokens + end, static_cast<Column>(i));
        Index j = begin;
        for (; j + batch <= end; j += batch) {
          int any = 0;
          for (Index c = j; c < j + batch; ++c) any |= z[c] <= y[c] ? 0 : 1;
          if (any == 0) continue;
          for (Index c = j; c < j + batch; ++c) replace(z[c], i, y[c], tokens[c]);
        }
        for (; j < end; ++j) replace(z[j], i, y[j], tokens[j]);
      }
    });
  }

  /// Replaces y by z if the image of z is larger, or if z is the first NaN.
  static void replace(S z, Index i, S& y, Column& token) {
    constexpr S margin = 4096 * std::numeric_limits<S>::epsilon();  // the images differ by more than their last bits
    if (z <= y || y != y) return;
    if (z == z && !(y == 0 || z - y > margin * (1 + z)) && !(Log1pRelu::value(z) > Log1pRelu::value(y))) return;
    y = z;
    token = static_cast<Column>(i);
  }

  /// Computes dx = gradients * weights', a few columns of dx in each task.
  void add_input_gradients(const Linear<S>& layer, const Context<S>& context, S* dx) {
    const Index n = context.in.n, cols = layer.out, in = layer.in;
    const Session& session = context.session;
    for (Index worker = 0; worker < session.concurrency(); ++worker)  // any worker may run a task
      (void)ScratchFrame(session.scratch(worker)).take<S>(n * features_per_task);
    session.run(ceil_div(in, features_per_task), [&](Index task, Index worker) {
      const Index begin = task * features_per_task, count = (std::min)(features_per_task, in - begin);
      ScratchFrame frame(session.scratch(worker));
      S* const sums = frame.take<S>(n * features_per_task);
      std::fill_n(sums, n * features_per_task, S(0));
      for (Index j = 0; j < cols; ++j) {
        const Index entries = by_column_.count(j);
        if (entries == 0) continue;
        S weights[features_per_task] = {};
        for (Index f = 0; f < count; ++f) weights[f] = context.parameters[(begin + f) * cols + j];
        for (Index e = 0; e < entries; ++e) {
          S* const to = sums + by_column_.rows(j)[e] * features_per_task;
          const S d = by_column_.values(j)[e];
          for (Index f = 0; f < features_per_task; ++f) to[f] += d * weights[f];
        }
      }
      for (Index i = 0; i < n; ++i) std::copy_n(sums + i * features_per_task, count, dx + i * in + begin);
    });
  }

  Buffer sequences_, tokens_, tile_, gradients_;
  ByColumn<S> by_column_;
};

}  // namespace filigree::detail
