// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty: the divergence of mean activations from rho.
struct Kl {
  using Kind = Penalty;
  double rho;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S* gradient, const detail::Session& session) const {
    const Index n = a.rows(), cols = a.cols();
    if (n == 0) return 0;
    double* mean = detail::sum_columns(a, session, [](S x) { return x; });
    double value = 0;
    for (Index j = 0; j < cols; ++j) {
      // At 0 and 1 the divergence is infinite.
      constexpr double epsilon = std::numeric_limits<S>::epsilon();
      const double activation = mean[j] / static_cast<double>(n);
      detail::require(!(activation < 0 || activation > 1),
                      "kl(rho): the mean activation of a latent must be between 0 and 1, as after sigmoid(); latent ",
                      j, " has ", activation);
      const double hat = std::clamp(activation, epsilon, 1 - epsilon);
      value += rho * std::log(rho / hat) + (1 - rho) * std::log((1 - rho) / (1 - hat));
      mean[j] = factor * ((1 - rho) / (1 - hat) - rho / hat) / static_cast<double>(n);
    }
    if (gradient != nullptr)
      detail::for_each_rows(n, session, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i)
          for (Index j = 0; j < cols; ++j) gradient[i * cols + j] += static_cast<S>(mean[j]);
      });
    return factor * value;
  }
};

/// Penalizes the Kullback-Leibler divergence of the mean activation r_j of each latent from rho.
///
/// Formula    Σ rho ln(rho / r_j) + (1 − rho) ln((1 − rho) / (1 − r_j))
/// Edge case  r_j is clamped to [epsilon, 1 − epsilon], so that the value and the derivative stay finite
/// Throws     Error unless 0 < rho < 1; in training, if a mean activation is below 0 or above 1
/// Reference  Ng, CS294A lecture notes, "Sparse autoencoder", section 3
inline Kl kl(double rho) {
  detail::require(rho > 0 && rho < 1, "kl(rho): rho must be above 0 and below 1, got ", rho);
  return {.rho = rho};
}

}  // namespace filigree
