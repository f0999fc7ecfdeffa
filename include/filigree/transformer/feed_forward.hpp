// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/layer/multiply.hpp"
#include "filigree/nn/sequence.hpp"

namespace filigree {

/// Options of feed_forward() and gated_feed_forward().
struct feed_forward_options {
  bool bias = true;  ///< false: the linear layers are without biases
};

namespace detail {

/// Returns a function that makes linear layers with or without biases.
template <Real S>
auto make_linear(bool bias) {
  return [bias](Index in, Index out) {
    const Linear<S> layer = linear<S>(in, out);
    return bias ? layer : layer.without_bias();
  };
}

}  // namespace detail

/// Makes the feed-forward layers of a transformer: feed_forward(384, 1536, gelu()).
///
/// Formula    f(x W_1 + b_1) W_2 + b_2
/// Shapes     x: N x d, result: N x d; W_1: d x hidden
/// Throws     Error if d or hidden is below 1
/// Reference  Vaswani et al., arXiv:1706.03762, section 3.3
template <Real S = float, Stage Activation>
auto feed_forward(Index d, Index hidden, Activation activation, const feed_forward_options& options = {}) {
  const auto layer = detail::make_linear<S>(options.bias);
  return sequence(layer(d, hidden) | std::move(activation) | layer(hidden, d));
}

/// Makes gated feed-forward layers: gated_feed_forward(384, 1024, silu()), which is SwiGLU.
///
/// Formula    (f(x W_1 + b_1) · (x W_2 + b_2)) W_3 + b_3
/// Shapes     x: N x d, result: N x d; W_1, W_2: d x hidden
/// Throws     Error if d or hidden is below 1
/// Reference  Shazeer, arXiv:2002.05202, equation 6
template <Real S = float, Stage Activation>
auto gated_feed_forward(Index d, Index hidden, Activation activation, const feed_forward_options& options = {}) {
  const auto layer = detail::make_linear<S>(options.bias);
  return sequence(multiply(layer(d, hidden) | std::move(activation), layer(d, hidden)) | layer(hidden, d));
}

}  // namespace filigree
