// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/normalize/simplex.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Normalizer for the alpha-entmax.
struct Entmax {
  using Category = Normalizer;
  double alpha;

  template <Real S>
  void apply(Row<S>& row) const {
    detail::apply_simplex(row, alpha - 1, [&](double* z, Index count) { weigh(z, count); });
  }
  template <Real S>
  void apply_dense(DenseRow<S>& row) const {
    detail::apply_simplex(row, alpha - 1, [&](double* z, Index count) { weigh(z, count); });
  }
  /// Formula    u (d − Σ u d / Σ u) with u = w^(2 − α)
  template <Real S>
  void backward(const Row<S>&, const Row<S>& out, S* d) const {
    detail::project_gradient(out, d, [&](S w) { return std::pow(static_cast<double>(w), 2 - alpha); });
  }

 private:
  // tau is in [-1, 0) and stored as delta = 1 + tau. Powers are computed as exp(power * log1p(x)), with x =
  // z / (1 - delta). With alpha close to 1 the power is large and delta small, and these forms keep their accuracy.

  void weigh(double* z, Index count) const {
    const auto& kernels = kernel::kernels<double>();
    std::fill(z + count, z + count + Row<double>::padding, -2.0);
    const double power = 1 / (alpha - 1), delta = threshold(z, count, power);
    double sums[2];
    kernels.power_sums(z, count, power, delta, sums);
    kernels.power_weights(z, count, power, delta, sums[0]);
    for (Index i = 0; i < count; ++i)
      if (z[i] < 0) z[i] = std::exp(power * std::log1p(z[i])) / sums[0];  // a denormal number or 0
  }
  /// Returns delta for the solution tau of (sum of (z - tau)^power)^(1 / power) = 1. The left-hand side is convex and
  /// decreasing, and at least 1 at tau = -1. Newton's method from there never passes the solution.
  static double threshold(const double* z, Index count, double power) {
    double delta = 0;
    for (int step = 0; step < 100; ++step) {
      double sums[2];  // of r^power and of r^(power - 1), with r = (z - tau) / -tau
      kernel::kernels<double>().power_sums(z, count, power, delta, sums);
      const double logarithm = std::log(sums[0]) / power;
      const double excess = std::expm1(std::log1p(-delta) + logarithm);
      const double move = excess * std::exp(logarithm * (power - 1)) / sums[1];
      if (!(move > 0) || delta + move >= 1 || delta + move == delta) break;
      delta += move;
    }
    return delta;
  }
};

/// Turns scores into probabilities, between softmax (alpha close to 1) and sparsemax (alpha = 2). Weights of 0 are
/// absent.
///
/// Formula    max((α − 1) s − τ, 0)^(1 / (α − 1)), τ such that the sum is 1
/// Cost       O(entries), plus 5 to 10 Newton steps of O(c) for c scores within 1 / (alpha - 1) of the row's maximum,
///            with one exponential and one logarithm each; sums in double. entmax15() and sparsemax() are faster
/// Edge case  NaN or +inf anywhere makes the row NaN
/// Throws     Error unless 1 < alpha <= 2
/// Reference  Peters, Niculae and Martins, arXiv:1905.05702, equation 10; entmax_bisect of deep-spin/entmax
inline Entmax entmax(double alpha) {
  detail::require(alpha > 1 && alpha <= 2,
                  "entmax(alpha): alpha must be above 1, which is softmax(), and at most 2, got ", alpha);
  return {.alpha = alpha};
}

}  // namespace filigree
