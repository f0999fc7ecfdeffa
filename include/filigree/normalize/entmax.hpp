// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/normalize/simplex.hpp"
#include "filigree/pipe/stage.hpp"

namespace filigree {

/// What entmax() returns.
struct Entmax {
  using Category = Normalizer;
  double alpha;

  template <Real S>
  void apply(Row<S>& row) const {
    const double beta = alpha - 1, power = 1 / beta;
    const detail::Nearby z = detail::nearby(row, beta, 1.0);
    if (z.count == 0) return;
    const double delta = threshold(z, power), sum = weights(z, power, delta).power;
    for (Index i = 0; i < row.count; ++i) {
      const double distance = beta * (static_cast<double>(row.values[i]) - z.highest);
      row.values[i] = static_cast<S>(weight(distance, power, delta) / sum);
    }
    row.filter([&](Index i) { return row.values[i] != S(0); });
  }

 private:
  struct Sums {
    double power, below;  // of r^power and of r^(power - 1), for r = (z - tau) / -tau
  };

  // tau, which lies in [-1, 0), is kept as delta = 1 + tau, and powers are exponentials of log1p: with alpha close to 1
  // the power is large and delta small.

  /// The solution of (sum of (z - tau)^power)^(1 / power) = 1. The left-hand side is convex and falls, so Newton's
  /// steps from tau = -1, where it is at least 1, do not pass the solution.
  static double threshold(const detail::Nearby& z, double power) {
    double delta = 0;
    for (int step = 0; step < 100; ++step) {
      const Sums r = weights(z, power, delta);
      const double logarithm = std::log(r.power) / power;
      const double excess = std::expm1(std::log1p(-delta) + logarithm);
      const double move = excess * std::exp(logarithm * (power - 1)) / r.below;
      if (!(move > 0) || delta + move >= 1 || delta + move == delta) break;
      delta += move;
    }
    return delta;
  }
  static Sums weights(const detail::Nearby& z, double power, double delta) {
    Sums sums = {0, 0};
    for (Index k = 0; k < z.count; ++k) {
      const double part = z.values[k] / (1 - delta);
      if (part <= -1) continue;
      const double r = std::exp(power * std::log1p(part));
      sums.power += r;
      sums.below += r / (1 + part);
    }
    return sums;
  }
  static double weight(double distance, double power, double delta) {
    const double part = distance / (1 - delta);
    return part > -1 ? std::exp(power * std::log1p(part)) : 0;
  }
};

/// Turns scores into probabilities between softmax (alpha towards 1) and sparsemax (alpha = 2). Weights of 0 are
/// absent.
///
/// Formula    max((α − 1) s − τ, 0)^(1 / (α − 1)), τ such that the sum is 1
/// Cost       O(entries) and some 5 to 10 times O(c) for c scores within 1 / (alpha - 1) of the row's maximum, one
///            exponential and one logarithm each; sums in double. entmax15() and sparsemax() are faster
/// Edge case  NaN or +inf anywhere makes the row NaN
/// Throws     Error if alpha is not above 1 and at most 2
/// Reference  Peters, Niculae and Martins, arXiv:1905.05702, equation 10; entmax_bisect of deep-spin/entmax
inline Entmax entmax(double alpha) {
  detail::require(alpha > 1 && alpha <= 2,
                  "entmax(alpha): alpha must be above 1, which is softmax(), and at most 2, got ", alpha);
  return {.alpha = alpha};
}

}  // namespace filigree
