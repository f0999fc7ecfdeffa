// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>

#include "filigree/nn/layer/layer_norm.hpp"
#include "filigree/nn/layer/sum.hpp"
#include "filigree/score_map/gelu.hpp"
#include "filigree/transformer/attention.hpp"
#include "filigree/transformer/cross_attention.hpp"
#include "filigree/transformer/feed_forward.hpp"
#include "filigree/transformer/optional.hpp"

namespace filigree {

/// Where a transformer layer normalizes.
enum class norm_position {
  pre,   ///< the inputs of attention and feed-forward layers, as in GPT-2; the last layer needs a layer_norm after it
  post,  ///< the sums after them, as in the paper and in BERT
};

/// Options of transformer_layer().
struct transformer_options {
  norm_position norm = norm_position::pre;
  double dropout = 0;      ///< of the outputs of attention and of the feed-forward layers, in training
  std::uint64_t seed = 0;  ///< of the dropout
  double epsilon = 1e-5;   ///< of layer_norm
  Index width = 0;         ///< features of a head; 0: d / h
  Rotary rotary = {};      ///< rotary(width): rotates queries and keys by their positions
  bool bias = true;        ///< false: the linear layers are without biases
  Index kv = 0;            ///< columns of the memory of decoder_layer(); 0: d
};

namespace detail {

/// Makes layers with a residual connection, dropout, and layer_norm before them or after the sum.
template <Real S, class L>
auto normalized_residual(Index d, L layers, const transformer_options& options, std::uint64_t seed) {
  const bool pre = options.norm == norm_position::pre;
  const LayerNorm<S> norm = layer_norm<S>(d, options.epsilon);
  const Optional<LayerNorm<S>> before{norm, pre}, after{norm, !pre};
  return residual(before | std::move(layers) | Optional<Dropout>{dropout(options.dropout, seed), options.dropout > 0}) |
         after;
}

inline attention_options of_attention(const transformer_options& options) {
  return {.width = options.width, .rotary = options.rotary, .bias = options.bias};
}

}  // namespace detail

/// Makes a layer of a transformer with a given layer of attention, such as longformer_attention().
///
/// The options width, rotary and kv are those of the given layer, and are not read.
/// Formula    pre: x + attention(norm(x)), then x + feed_forward(norm(x));
///            post: norm(x + attention(x)), then norm(x + feed_forward(x))
/// Shapes     x: N x d, result: N x d, with d the inputs of the given layer
/// Throws     Error as feed_forward(), layer_norm() and dropout()
template <LayerStage A, Stage Activation = Gelu>
auto transformer_layer(A attention, Index hidden, const transformer_options& options = {}, Activation activation = {}) {
  using S = typename A::Scalar;
  const Index d = attention.inputs();
  return sequence(
      detail::normalized_residual<S>(d, std::move(attention), options, 2 * options.seed) |
      detail::normalized_residual<S>(d, feed_forward<S>(d, hidden, std::move(activation), {.bias = options.bias}),
                                     options, 2 * options.seed + 1));
}

/// Makes a layer of a transformer: attention and feed-forward layers, each with a residual connection and layer_norm.
///
/// `head` is a pipeline on the scores, or a function of the head that returns one. repeat(depth, layer) makes a
/// transformer of several.
/// Formula    pre: x + attention(norm(x)), then x + feed_forward(norm(x));
///            post: norm(x + attention(x)), then norm(x + feed_forward(x))
/// Shapes     x: N x d, result: N x d
/// Cost       that of attention() and feed_forward()
/// Throws     Error as attention(), feed_forward(), layer_norm() and dropout()
/// Reference  post: Vaswani et al., arXiv:1706.03762, section 3.1; pre: Xiong et al., arXiv:2002.04745, table 1
template <Real S = float, class Head, Stage Activation = Gelu>
auto transformer_layer(Index d, heads count, Index hidden, Head&& head, const transformer_options& options = {},
                       Activation activation = {}) {
  return transformer_layer(attention<S>(d, count, std::forward<Head>(head), detail::of_attention(options)), hidden,
                           options, std::move(activation));
}

/// Makes a layer of a decoder that attends to a memory: attention, cross_attention and feed-forward layers, each with a
/// residual connection and layer_norm.
///
/// `head` is the pipeline of attention(), such as causal() | softmax(), and `memory_head` that of cross_attention().
/// Formula    pre: x + attention(norm(x)), x + cross_attention(norm(x)), then x + feed_forward(norm(x));
///            post: norm(x + attention(x)), norm(x + cross_attention(x)), then norm(x + feed_forward(x))
/// Shapes     x: N x d, memory: M x kv, result: N x d
/// Cost       that of attention(), cross_attention() and feed_forward()
/// Throws     Error as attention(), cross_attention(), feed_forward(), layer_norm() and dropout()
/// Reference  Vaswani et al., arXiv:1706.03762, section 3.1
template <Real S = float, class Head, class MemoryHead, Stage Activation = Gelu>
auto decoder_layer(Index d, heads count, Index hidden, Head&& head, MemoryHead&& memory_head,
                   const transformer_options& options = {}, Activation activation = {}) {
  return sequence(
      detail::normalized_residual<S>(d, attention<S>(d, count, std::forward<Head>(head), detail::of_attention(options)),
                                     options, 3 * options.seed) |
      detail::normalized_residual<S>(
          d,
          cross_attention<S>(d, count, std::forward<MemoryHead>(memory_head),
                             {.kv = options.kv, .width = options.width, .bias = options.bias}),
          options, 3 * options.seed + 1) |
      detail::normalized_residual<S>(d, feed_forward<S>(d, hidden, std::move(activation), {.bias = options.bias}),
                                     options, 3 * options.seed + 2));
}

}  // namespace filigree
