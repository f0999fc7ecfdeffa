// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/nn/layer/linear_tile.hpp"
#include "filigree/nn/layer/pool.hpp"
#include "filigree/score_map/log1p_relu.hpp"

namespace filigree::detail {

/// linear(d, m) | log1p_relu() | pool_sum() without the N x m outputs of the linear layer.
///
/// Tiles of the outputs are computed one after another, and each is added to the sums of its sequences, in the order of
/// the tokens. The outputs are those of the stages one after another. The backward pass computes the tiles again, of
/// each sequence only the columns whose sum is positive and has a gradient.
/// Cost  2 N d m operations, and s m numbers for s sequences; the backward pass: 6 N d kept operations, and
///       O(m + 1024 d) numbers
template <Real S>
class SummedLinear {
 public:
  void forward(const Linear<S>& layer, const Pool<Pooling::sum>& pool, Context<S>& context, Activations<S>& out) {
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), cols = layer.out, count = pool.sequence_count(context.sequence_count());
    Index* const begins = begins_.get<Index>(count + 1);
    Index* next = begins;
    for_each_pooled(pool, context, [&](Index first, Index) { *next++ = first; });
    begins[count] = n;
    S* const y = out.set_dense(count, cols);
    std::fill_n(y, count * cols, S(0));
    const Index max_width = (std::min)(tile_cols, cols);
    S* const tile = tile_.get<S>(tile_rows * max_width);
    double* const sums = sums_.get<double>(max_width);
    for (Index begin = 0; begin < cols; begin += tile_cols) {
      const Index width = (std::min)(tile_cols, cols - begin);
      Index s = 0;  // the first sequence with rows in the tile
      for (Index first = 0; first < n; first += tile_rows) {
        const TileRange rows = {first, (std::min)(first + tile_rows, n)};
        multiply_tile<S>(layer, context, x, rows, {context.parameters + begin, layer.in, width, cols, 1},
                         context.parameters + layer.weight_count() + begin, tile);
        context.session.run(ceil_div(width, columns_per_task), [&](Index task, Index) {
          const Index from = task * columns_per_task;
          add({from, (std::min)(from + columns_per_task, width)}, rows, begins + s, tile, width, sums,
              y + s * cols + begin, cols);
        });
        while (s < count && begins[s + 1] <= rows.end) ++s;
      }
    }
  }

  /// dy is the gradient with respect to `out`, the outputs of the last forward pass.
  Gradient<S> backward(const Linear<S>& layer, Context<S>& context, const Activations<S>& out, const Gradient<S>& dy) {
    const Index cols = layer.out, n = context.in.n, max_width = (std::min)(tile_cols, cols);
    const Index inputs = layer.in + layer.skip, weight_count = inputs * max_width;
    std::fill_n(context.gradient, layer.parameter_count(), S(0));
    S* const dx = context.needs_input_gradient ? gradients_.get<S>((std::max)(n * layer.in, Index{1})) : nullptr;
    if (dx != nullptr) std::fill_n(dx, n * layer.in, S(0));
    double* const sums = sums_.get<double>(cols);
    std::fill_n(sums, cols, 0.0);
    Column* const columns = columns_.get<Column>(cols);
    S* const factors = factors_.get<S>(cols);
    S* const gathered = gathered_.get<S>(2 * weight_count + max_width);
    const Gathered memory = {gathered, gathered + weight_count, gathered + 2 * weight_count,
                             tile_.get<S>(tile_rows * max_width)};
    const Index* const begins = begins_.get<Index>(0);
    for (Index s = 0; s < out.n; ++s) {
      Index kept = 0;
      const auto entry = [&](Index j, S d) {
        const S y = out.data[s * cols + j];
        if ((y <= 0 ? S(0) : d) == 0) return;
        columns[kept] = static_cast<Column>(j);
        factors[kept++] = d;
      };
      if (dy.dense != nullptr)
        for (Index j = 0; j < cols; ++j) entry(j, dy.dense[s * cols + j]);
      else
        for (Index e = s * dy.lists->stride; e < s * dy.lists->stride + dy.lists->counts[s]; ++e)
          entry(dy.lists->columns[e], dy.lists->gradients[e]);
      for (Index begin = 0; begin < kept; begin += tile_cols)
        add_gradients(layer, context, {begins[s], begins[s + 1]},
                      {columns + begin, factors + begin, (std::min)(tile_cols, kept - begin)}, memory, sums, dx);
    }
    S* const biases = context.gradient + layer.weight_count();
    for (Index j = 0; j < cols; ++j) biases[j] = static_cast<S>(sums[j]);
    return {.dense = dx};
  }

 private:
  static constexpr Index tile_rows = 512, tile_cols = 1024;  // 2 MiB of floats
  static constexpr Index columns_per_task = 128, rows_per_task = 16;

  /// Some columns of one sequence, and the gradients with respect to their sums.
  struct Columns {
    const Column* columns;
    const S* factors;
    Index count;
  };
  /// The weights of some columns, their gradients, their biases, and a tile of outputs.
  struct Gathered {
    S *weights, *gradient, *biases, *tile;
  };

  /// Adds the rows of a tile to the sums of their sequences, the first of which begins at begins[0]. The sums of a
  /// sequence that ends in the tile are written to y.
  static void add(const TileRange& columns, const TileRange& rows, const Index* begins, const S* tile, Index width,
                  double* sums, S* y, Index stride) {
    for (; *begins < rows.end; ++begins, y += stride) {
      const Index end = begins[1];
      if (*begins >= rows.begin) std::fill(sums + columns.begin, sums + columns.end, 0.0);
      for (Index i = (std::max)(*begins, rows.begin); i < (std::min)(end, rows.end); ++i) {
        const S* const z = tile + (i - rows.begin) * width;
        for (Index j = columns.begin; j < columns.end; ++j)
          if (!(z[j] <= 0)) sums[j] += static_cast<double>(Log1pRelu::value(z[j]));
      }
      if (end > rows.end) return;
      for (Index j = columns.begin; j < columns.end; ++j) y[j] = static_cast<S>(sums[j]);
    }
  }

  /// Adds the gradients of some columns of a sequence: to those of the weights, to the sums of those of the biases, and
  /// to dx.
  static void add_gradients(const Linear<S>& layer, Context<S>& context, const TileRange& sequence, const Columns& kept,
                            const Gathered& memory, double* sums, S* dx) {
    const Session& session = context.session;
    const ConstRows<S> x = context.inputs();
    const Index width = kept.count, cols = layer.out, inputs = layer.in + layer.skip;
    session.run(ceil_div(inputs, rows_per_task), [&](Index task, Index) {
      for (Index r = task * rows_per_task; r < (std::min)((task + 1) * rows_per_task, inputs); ++r)
        for (Index c = 0; c < width; ++c) {
          memory.weights[r * width + c] = context.parameters[r * cols + kept.columns[c]];
          memory.gradient[r * width + c] = context.gradient[r * cols + kept.columns[c]];
        }
    });
    for (Index c = 0; c < width; ++c) memory.biases[c] = context.parameters[layer.weight_count() + kept.columns[c]];
    for (Index first = sequence.begin; first < sequence.end; first += tile_rows) {
      const TileRange rows = {first, (std::min)(first + tile_rows, sequence.end)};
      multiply_tile<S>(layer, context, x, rows, {memory.weights, inputs, width, width, 1}, memory.biases, memory.tile);
      session.run(ceil_div(width, columns_per_task), [&](Index task, Index) {
        const Index begin = task * columns_per_task, end = (std::min)(begin + columns_per_task, width);
        for (Index i = 0; i < rows.size(); ++i) {
          S* const z = memory.tile + i * width;
          for (Index c = begin; c < end; ++c) {
            z[c] = z[c] <= 0 ? S(0) : kept.factors[c] / (1 + z[c]);
            sums[kept.columns[c]] += static_cast<double>(z[c]);
          }
        }
      });
      const MatrixView<S> dz = {memory.tile, rows.size(), width, width, 1};
      const auto add_weights = [&](const ConstRows<S>& in, Index offset) {
        const MatrixView<S> part = {in.data() + rows.begin * in.cols(), rows.size(), in.cols(), in.cols(), 1};
        multiply<S>(part.transposed(), dz, {.data = memory.gradient + offset * width, .stride = width, .add = true},
                    session);
      };
      add_weights(x, 0);
      if (layer.skip > 0) add_weights(context.network.input->rows(session), layer.in);
      if (dx == nullptr) continue;
      const MatrixView<S> w = {memory.weights, layer.in, width, width, 1};
      multiply<S>(dz, w.transposed(), {.data = dx + rows.begin * layer.in, .stride = layer.in, .add = true}, session);
    }
    session.run(ceil_div(inputs, rows_per_task), [&](Index task, Index) {
      for (Index r = task * rows_per_task; r < (std::min)((task + 1) * rows_per_task, inputs); ++r)
        for (Index c = 0; c < width; ++c) context.gradient[r * cols + kept.columns[c]] = memory.gradient[r * width + c];
    });
  }

  Buffer begins_, sums_, tile_, columns_, factors_, gathered_, gradients_;
};

}  // namespace filigree::detail
