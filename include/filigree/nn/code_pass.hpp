// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include "filigree/nn/by_column.hpp"

namespace filigree::detail {

/// What a loss of codes sees of a pass: the codes, the decoder that is a linear layer, and the targets; on the way back
/// the gradients and gradients that it adds to.
template <Real S>
struct CodePass {
  Activations<S>& activations;         // n x latents
  const S *weights, *biases;           // latents x out, out
  ConstRows<S> target;                 // n x out
  S *weight_gradient, *bias_gradient;  // null: the value alone
  Gradient<S> dy;                      // by the codes: lists where they are sparse
  const Lists<S>* gates;               // what a gated() before the decoder opens; null: there is none
  std::array<Buffer, 2>& memory;
  ByColumn<S>& by_column;
  const Session& session;

  [[nodiscard]] Index out() const { return target.cols(); }
  [[nodiscard]] bool differentiated() const { return weight_gradient != nullptr; }
};

}  // namespace filigree::detail
