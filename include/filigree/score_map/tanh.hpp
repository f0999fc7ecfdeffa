// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Activation function: the hyperbolic tangent.
struct Tanh {
  using Category = ScoreMap;
  static constexpr bool derivative_from_output = true;

  template <Real S>
  void map_all(S* values, Index count) const {
    kernel::kernels<S>().tanh({values, count}, 1, count, false);
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    kernel::kernels<S>().tanh({tile.values, tile.stride}, tile.queries, tile.keys, true);
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
