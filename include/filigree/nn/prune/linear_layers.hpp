// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/network.hpp"
#include "filigree/nn/prune/sparse_gpt.hpp"

namespace filigree {

/// A linear layer of a network, at any depth within other layers. It refers to the network, which must stay where it
/// is.
template <class Net>
class LinearLayer {
  using S = typename Net::Scalar;

 public:
  using Matrix = typename Net::Matrix;

  LinearLayer(Net& net, Linear<S>& layer, std::size_t stage, Index offset)
      : net_(&net), layer_(&layer), stage_(stage), offset_(offset) {}

  /// Returns the number of the stage of the network that contains the layer.
  [[nodiscard]] std::size_t stage() const { return stage_; }
  /// Returns the weights, in x out, in the memory of the network's parameters.
  [[nodiscard]] Eigen::Map<Matrix> weights() const {
    return {net_->parameters().data() + offset_, layer_->in, layer_->out};
  }
  /// Returns true if weights are constrained to 0 by a mask.
  [[nodiscard]] bool is_masked() const { return layer_->constraints.mask != nullptr; }
  /// Constrains the weights to 0 wherever the mask is 0, now and in later training. It replaces an earlier mask.
  ///
  /// Shapes  mask: in x out
  /// Throws  Error if the mask has another shape
  template <DenseExpression M>
  void mask(const M& mask) const {
    *layer_ = layer_->masked(mask);
    layer_->project_weights(net_->parameters().data() + offset_);
  }
  /// Sets the weights and the mask: layer.set(sparse_gpt(layer.weights(), layer.inputs(X))).
  ///
  /// Throws  Error if they have another shape
  void set(const PrunedWeights<S>& pruned) const {
    detail::require(pruned.weights.rows() == layer_->in && pruned.weights.cols() == layer_->out,
                    "layer.set(pruned): the weights must be ", layer_->in, " x ", layer_->out, ", got ",
                    pruned.weights.rows(), " x ", pruned.weights.cols());
    const Linear<S> masked = layer_->masked(pruned.mask);
    weights() = pruned.weights;
    *layer_ = masked;
    layer_->project_weights(net_->parameters().data() + offset_);
  }
  /// Returns the inputs of the layer for samples or a Batch, in inference.
  ///
  /// Shapes  X: N x inputs of the network, result: a row for each sample or token, x in
  /// Cost    one forward pass of the network
  /// Throws  Error if X.cols() is not net.inputs()
  template <class X>
  [[nodiscard]] Matrix inputs(const X& x) const {
    const char* const call = "layer.inputs(X)";
    if constexpr (detail::is_batch<X>)
      return net_->inputs_of_layer(offset_, detail::tokens_of<S>(x), call, detail::lengths_of(x));
    else
      return net_->inputs_of_layer(offset_, x, call);
  }

 private:
  Net* net_;
  Linear<S>* layer_;
  std::size_t stage_;
  Index offset_;
};

/// Returns the linear layers of a network in the order of their parameters, also those within sequence, residual,
/// repeat, attention and other layers.
///
/// for (const auto& layer : linear_layers(net)) layer.mask(output_mask(wanda_scores(layer.weights(), layer.inputs(X)),
/// 0.5)) prunes a network by Wanda, with the inputs of the network pruned so far.
template <class Net>
std::vector<LinearLayer<Net>> linear_layers(Net& net) {
  std::vector<LinearLayer<Net>> layers;
  net.each_layer([&](auto& layer, std::size_t stage, Index offset) {
    if constexpr (std::same_as<std::remove_reference_t<decltype(layer)>, Linear<typename Net::Scalar>>)
      layers.emplace_back(net, layer, stage, offset);
  });
  return layers;
}

}  // namespace filigree
