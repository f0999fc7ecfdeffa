// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/residual.hpp"

namespace filigree {

/// Returns the squared error of reconstructions relative to that of the mean: 0 for perfect reconstructions, 1 for the
/// mean.
///
/// Formula    Σ ‖x − x̂‖² / Σ ‖x − mean x‖²
/// This is the value of the loss normalized_squared_error().
/// Shapes     x, x_hat: N x d
/// Cost       O(N d), and O(d) memory
/// Edge case  NaN or an infinite x makes it NaN; an infinite x_hat makes it infinite
/// Throws     Error if the shapes differ, x is empty, or all samples of x are equal
/// Reference  Gao et al., arXiv:2406.04093, section 2.1
template <DenseExpression X, DenseExpression Y>
double normalized_mse(const X& x, const Y& x_hat) {
  const detail::ResidualSums sums = detail::residual_sums("normalized_mse(x, x_hat)", x, x_hat);
  return sums.squared_residual / sums.variation_of_x;
}

}  // namespace filigree
