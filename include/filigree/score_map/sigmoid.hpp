// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Activation function: the logistic function.
struct Sigmoid {
  using Category = ScoreMap;
  static constexpr bool derivative_from_output = true;

  template <Real S>
  void map_all(S* values, Index count) const {
    kernel::kernels<S>().sigmoid({values, count}, 1, count, false);
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    kernel::kernels<S>().sigmoid({tile.values, tile.stride}, tile.queries, tile.keys, true);
  }
  template <Real S>
  S derivative(S, S y) const {
    return y * (1 - y);
  }
};

/// Applies the logistic function.
///
/// Formula    1 / (1 + exp(−x))
inline Sigmoid sigmoid() { return {}; }

}  // namespace filigree
