// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/active_samples.hpp"

namespace filigree {

/// How many latents are active at once: mean over samples of the number of entries that are not 0.
///
/// Shapes     codes: N x latents, dense or sparse
/// Edge case  a stored 0 of a sparse matrix counts as 0, NaN does not
/// Throws     Error if there is no sample
template <Codes C>
double l0(const C& codes) {
  detail::require_samples("l0(codes)", codes);
  return detail::active_samples(codes).sum() / static_cast<double>(codes.rows());
}

}  // namespace filigree
