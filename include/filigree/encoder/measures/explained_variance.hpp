// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/residual.hpp"

namespace filigree {

/// Returns the fraction of the variance that reconstructions explain; 1 for perfect reconstructions.
///
/// Variances are taken over samples and summed over features. A constant offset of all reconstructions therefore has no
/// effect. The result is at least 1 - normalized_mse(x, x_hat), with equality if the residuals have mean 0.
/// Formula    1 − Σ Var(x_j − x̂_j) / Σ Var(x_j)
/// Shapes     x, x_hat: N x d
/// Cost       O(N d), and O(d) memory
/// Edge case  NaN or an infinite value makes it NaN
/// Throws     Error if the shapes differ, x is empty, or all samples of x are equal
template <DenseExpression X, DenseExpression Y>
double explained_variance(const X& x, const Y& x_hat) {
  const detail::ResidualSums sums = detail::residual_sums("explained_variance(x, x_hat)", x, x_hat);
  return 1 - sums.variation_of_residual / sums.variation_of_x;
}

}  // namespace filigree
