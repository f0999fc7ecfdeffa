// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/active_samples.hpp"

namespace filigree {

/// Returns the mean number of active latents per sample.
///
/// Formula    mean of Σ [a_j ≠ 0]
/// Shapes     codes: N x latents, dense or sparse
/// Edge case  a stored 0 of a sparse matrix counts as 0, NaN does not
/// Throws     Error if codes has no rows
template <Codes C>
double l0(const C& codes) {
  detail::require_samples("l0(codes)", codes);
  return detail::active_samples(codes).sum() / static_cast<double>(codes.rows());
}

}  // namespace filigree
