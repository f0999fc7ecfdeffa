// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/pipe/stage.hpp"

namespace filigree {

/// Activation function: the hyperbolic tangent.
struct Tanh {
  using Category = ScoreMap;
  static constexpr bool derivative_from_output = true;

  template <Real S>
  S map(S x, Index, Index, const Grid&) const {
    return std::tanh(x);
  }
  template <Real S>
  S derivative(S, S y) const {
    return (1 - y) * (1 + y);
  }
};

/// Applies the hyperbolic tangent.
///
/// Formula    tanh(x)
inline Tanh tanh() { return {}; }

}  // namespace filigree
