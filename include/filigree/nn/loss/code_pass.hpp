// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include "filigree/nn/by_column.hpp"

namespace filigree::detail {

/// The data that a loss of codes reads in a pass: the codes, the linear decoder and the targets. In the backward pass
/// it adds to the gradients.
template <Real S>
struct CodePass {
  Activations<S>& activations;         // n x latents
  const S *weights, *biases;           // latents x out, out
  ConstRows<S> target;                 // n x out
  S *weight_gradient, *bias_gradient;  // null: only the value is computed
  Gradient<S> dy;                      // with respect to the codes; lists if they are sparse
  const Lists<S>* gates;               // open gates of gated() right before the decoder; null without gated()
  std::array<Buffer, 2>& memory;
  ByColumn<S>& by_column;
  const Session& session;

  [[nodiscard]] Index out() const { return target.cols(); }
  [[nodiscard]] bool needs_gradient() const { return weight_gradient != nullptr; }
};

}  // namespace filigree::detail
