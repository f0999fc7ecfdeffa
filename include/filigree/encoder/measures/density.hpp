// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/active_samples.hpp"

namespace filigree {

/// Returns the fraction of samples in which each latent is active. The sum over latents is l0(codes).
///
/// Formula    mean of [a_j ≠ 0]
/// Shapes     codes: N x latents, dense or sparse; result: latents
/// Edge case  a stored 0 of a sparse matrix counts as 0, NaN does not
/// Throws     Error if codes has no rows
template <Codes C>
detail::Dependent<Eigen::VectorXd, C> density(const C& codes) {
  detail::require_samples("density(codes)", codes);
  return detail::active_samples(codes) / static_cast<double>(codes.rows());
}

}  // namespace filigree
