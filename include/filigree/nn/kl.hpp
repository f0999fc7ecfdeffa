// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/nn/term.hpp"

namespace filigree {

/// What kl(rho) returns.
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
      // Away from 0 and 1, where the divergence has no end.
      constexpr double least = std::numeric_limits<S>::epsilon();
      const double activation = mean[j] / static_cast<double>(n);
      detail::require(!(activation < 0 || activation > 1),
                      "kl(rho): the mean activation of a latent must be within 0 "
                      "and 1, as sigmoid() makes it; that of latent ",
                      j, " is ", activation);
      const double hat = std::clamp(activation, least, 1 - least);
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

/// Penalizes the distance of the mean activation r_j of each latent over the samples from rho.
///
/// Formula    Σ rho ln(rho / r_j) + (1 − rho) ln((1 − rho) / (1 − r_j))
/// Edge case  r_j is kept an epsilon away from 0 and 1, so that value and derivative stay finite
/// Throws     Error unless 0 < rho < 1; in training, if a mean activation is below 0 or above 1
/// Reference  Ng, CS294A lecture notes, "Sparse autoencoder", section 3
inline Kl kl(double rho) {
  detail::require(rho > 0 && rho < 1, "kl(rho): rho must be above 0 and below 1, got ", rho);
  return {.rho = rho};
}

}  // namespace filigree
