// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/attention/drop_smallest.hpp"
#include "filigree/nn/layer/repeat.hpp"
#include "filigree/nn/layer/sum.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/select/drop_lowest.hpp"
#include "filigree/transformer/attention.hpp"

namespace filigree {

/// What sparse_transformer() drops a share of.
enum class sparsity_of {
  rows,      ///< drops ⌊sparsity · n⌋ of the n scores of each query
  tutorial,  ///< drops ⌊sparsity · n⌋ of all n² scores of a head, as the tutorial class SparseSelfAttention
};

/// Options of sparse_transformer().
struct sparse_transformer_options {
  double sparsity = 0.5;   ///< share of the scores that are dropped, from 0 to 1
  double dropout = 0;      ///< of the weights of attention, and of the outputs of each layer, in training
  std::uint64_t seed = 0;  ///< of the dropout
  sparsity_of of = sparsity_of::rows;
};

/// Makes a stack of attention layers that drop the lowest scores: `depth` times x = dropout(x + attention(x)).
///
/// It has no normalization and no feed-forward layers. The class SparseSelfAttention of PyTorch tutorials and its stack
/// compute the same with {.of = sparsity_of::tutorial}, apart from queries without keys: see drop_smallest(). There
/// the sparsity is a share of n, and not of the n² scores, so a sparsity of 0.9 keeps almost all of them.
/// Formula  y = dropout(x + attention(x)) with weights dropout(softmax(drop(q kᵀ / √(d/h))))
/// Shapes   x: N x d, result: N x d; parameters of each layer: W_qkv, d x 3d, b_qkv, W_o, d x d, b_o
/// Cost     depth times that of attention()
/// Throws   Error as attention(), drop_lowest(), dropout() and repeat()
template <Real S = float>
auto sparse_transformer(Index depth, Index d, heads count, const sparse_transformer_options& options = {}) {
  const bool tutorial = options.of == sparsity_of::tutorial;
  const double share = drop_lowest(options.sparsity).fraction;
  return repeat(depth, residual(attention<S>(d, count,
                                             drop_smallest(tutorial ? share : 0) | drop_lowest(tutorial ? 0 : share) |
                                                 softmax() | dropout(options.dropout, 2 * options.seed))) |
                           dropout(options.dropout, 2 * options.seed + 1));
}

}  // namespace filigree
