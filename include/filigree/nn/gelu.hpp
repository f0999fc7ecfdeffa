// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <numbers>

#include "filigree/pipe/stage.hpp"

namespace filigree {

/// What gelu() returns.
struct Gelu {
  using Category = Map;

  template <Real S>
  S map(S x, Index, Index, const Grid&) const {
    return x * below(x);
  }
  template <Real S>
  S slope(S x, S) const {
    constexpr S density = std::numbers::inv_sqrtpi_v<S> / std::numbers::sqrt2_v<S>;
    return below(x) + x * density * std::exp(-x * x / 2);
  }

 private:
  /// The share of a standard normal variable that lies below x.
  template <Real S>
  static S below(S x) {
    return std::erfc(-x / std::numbers::sqrt2_v<S>) / 2;
  }
};

/// x times the share of a standard normal variable that lies below x: x * (1 + erf(x / sqrt(2))) / 2.
///
/// Reference  Hendrycks and Gimpel, arXiv:1606.08415, section 2
inline Gelu gelu() { return {}; }

}  // namespace filigree
