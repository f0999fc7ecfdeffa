// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/concepts.hpp"
#include "filigree/pipe/stage.hpp"

namespace filigree {

/// What pre_bias() returns. It has no parameters: the bias is that of the last layer.
struct PreBias {
  using Category = Layer;

  [[nodiscard]] Index outputs(Index width) const { return width; }
  [[nodiscard]] Index weight_count() const { return 0; }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S, class Generator>
  void initialize(S*, Generator&) const {}
};

/// Subtracts the bias of the last layer from the samples. It is the first stage of an autoencoder, before a linear
/// layer; the last stage is a linear layer too.
///
/// Formula    z = (x − b_pre) W + b before a decoder a W' + b_pre
/// Cost       N in subtractions, and in * out multiplications for what the bias gains in gradient
/// Reference  Gao et al., arXiv:2406.04093, equations 1 and 2; Bricken et al. 2023, "Towards Monosemanticity"
inline PreBias pre_bias() { return {}; }

}  // namespace filigree
