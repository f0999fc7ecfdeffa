// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/concepts.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// A layer that subtracts the bias of the last layer. It has no parameters of its own.
struct PreBias {
  using Category = Layer;

  [[nodiscard]] Index outputs(Index width) const { return width; }
  [[nodiscard]] Index weight_count() const { return 0; }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S, class Generator>
  void initialize(S*, Generator&) const {}
};

/// Subtracts the bias of the last layer from the samples.
///
/// It must be the first stage of an autoencoder, followed by a linear layer or gated(). The last stage must be linear.
/// Formula    z = (x − b_pre) W + b, with the decoder a W' + b_pre
/// Cost       N in subtractions, and in * out multiplications for the gradient of the bias
/// Reference  Gao et al., arXiv:2406.04093, equations 1 and 2; Bricken et al. 2023, "Towards Monosemanticity"
inline PreBias pre_bias() { return {}; }

}  // namespace filigree
