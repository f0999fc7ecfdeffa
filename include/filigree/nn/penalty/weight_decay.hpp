// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty of the weights: half the sum of their squares.
struct WeightDecay {
  using Kind = Decay;

  template <Real S>
  double add(const S* weights, Index count, double factor, S* gradient) const {
    double sum = 0;
    for (Index i = 0; i < count; ++i) {
      sum += static_cast<double>(weights[i]) * static_cast<double>(weights[i]);
      if (gradient != nullptr) gradient[i] += static_cast<S>(factor * static_cast<double>(weights[i]));
    }
    return factor * sum / 2;
  }
};

/// Penalizes the sum of squared weights, without the biases.
///
/// Formula    ½ Σ W²
inline WeightDecay weight_decay() { return {}; }

}  // namespace filigree
