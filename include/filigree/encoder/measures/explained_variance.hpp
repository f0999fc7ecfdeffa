// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/residual.hpp"

namespace filigree {

/// Returns the fraction of the variance that reconstructions explain, sums over features, variances over samples; 1 is
/// perfect.
///
/// A residual's mean has no variance: an offset that all reconstructions share costs nothing here. With residuals of
/// mean 0 this is 1 - normalized_mse(x, x_hat), and never less.
/// Formula    1 − Σ Var(x_j − x̂_j) / Σ Var(x_j)
/// Shapes     x, x_hat: N x d
/// Cost       O(N d), and a copy of x in double
/// Edge case  NaN or an infinite value makes it NaN
/// Throws     Error if the shapes differ, there is nothing, or all samples of x are alike
template <DenseExpression X, DenseExpression Y>
double explained_variance(const X& x, const Y& x_hat) {
  const auto r = detail::residual("explained_variance(x, x_hat)", x, x_hat);
  return 1 - detail::variation(r.values) / r.variation_of_x;
}

}  // namespace filigree
