// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <numbers>

#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Activation function: the exact Gaussian error linear unit.
struct Gelu {
  using Category = ScoreMap;

  template <Real S>
  void map_all(S* values, Index count) const {
    kernel::kernels<S>().gelu({values, count}, 1, count, false);
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    kernel::kernels<S>().gelu({tile.values, tile.stride}, tile.queries, tile.keys, true);
  }
  template <Real S>
  S derivative(S x, S) const {
    constexpr S density = std::numbers::inv_sqrtpi_v<S> / std::numbers::sqrt2_v<S>;
    return below(x) + x * density * std::exp(-x * x / 2);
  }

 private:
  /// Returns the probability that a standard normal variable is below x.
  template <Real S>
  static S below(S x) {
    return std::erfc(-x / std::numbers::sqrt2_v<S>) / 2;
  }
};

/// Multiplies x by the probability that a standard normal variable is below x.
///
/// Formula    x · (1 + erf(x / √2)) / 2
/// Reference  Hendrycks and Gimpel, arXiv:1606.08415, section 2
inline Gelu gelu() { return {}; }

/// Activation function: the tanh approximation of the Gaussian error linear unit.
struct GeluTanh {
  using Category = ScoreMap;

  template <Real S>
  void map_all(S* values, Index count) const {
    kernel::kernels<S>().gelu_tanh({values, count}, 1, count, false);
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    kernel::kernels<S>().gelu_tanh({tile.values, tile.stride}, tile.queries, tile.keys, true);
  }
  template <Real S>
  S derivative(S x, S) const {
    const S u = argument(x), p = 1 / (1 + std::exp(-2 * u)), e = std::exp(-2 * std::abs(u));
    if (e == 0) return p;  // here x * x * x may overflow
    return p + 2 * e / ((1 + e) * (1 + e)) * factor<S> * (x + 3 * cubic<S> * x * x * x);
  }

 private:
  template <Real S>
  static constexpr S factor = std::numbers::sqrt2_v<S>* std::numbers::inv_sqrtpi_v<S>;
  template <Real S>
  static constexpr S cubic = S(0.044715);
  template <Real S>
  static S argument(S x) {
    return factor<S> * (x + cubic<S> * x * x * x);
  }
};

/// Approximates gelu() by the hyperbolic tangent, as GPT-2 does. The two differ by at most 0.0005.
///
/// Formula    x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2
/// Reference  Hendrycks and Gimpel, arXiv:1606.08415, section 2; torch.nn.GELU(approximate="tanh")
inline GeluTanh gelu_tanh() { return {}; }

}  // namespace filigree
