// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/stage/stage.hpp"

namespace filigree {

/// Activation function: the logarithm of 1 plus the positive part.
struct Log1pRelu {
  using Category = ScoreMap;
  static constexpr bool derivative_from_output = true;

  template <Real S>
  void map_all(S* values, Index count) const {
    for (Index i = 0; i < count; ++i) values[i] = value(values[i]);
  }
  template <Real S>
  S derivative(S, S y) const {
    return y <= 0 ? S(0) : std::exp(-y);  // 1 / (1 + x), as y = log(1 + x)
  }
  // Computes a float by the logarithm of a double, so that a larger x never has a smaller value.
  template <Real S>
  static S value(S x) {
    return x <= 0 ? S(0) : static_cast<S>(std::log1p(static_cast<double>(x)));
  }
};

/// Applies the saturation of SPLADE: the logarithm of 1 plus the positive part of x.
///
/// Formula    log(1 + max(x, 0)), with derivative 1 / (1 + x) for x > 0, otherwise 0
/// Edge case  NaN stays NaN; the value of x ≤ 0 is 0
/// Reference  Formal et al., arXiv:2107.05720, equation 1
inline Log1pRelu log1p_relu() { return {}; }

}  // namespace filigree
