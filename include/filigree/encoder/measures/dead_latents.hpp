// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "filigree/encoder/measures/active_samples.hpp"

namespace filigree {

/// Returns the latents whose density is at most the threshold, in ascending order; by default the latents that are 0 in
/// all samples.
///
/// Formula    density_j ≤ threshold
/// Shapes     codes: N x latents, dense or sparse
/// Edge case  a stored 0 of a sparse matrix counts as 0, NaN does not
/// Throws     Error if codes has no rows, or the threshold is not in [0, 1]
template <Codes C>
std::vector<Index> dead_latents(const C& codes, double threshold = 0) {
  detail::require_samples("dead_latents(codes, threshold)", codes);
  detail::require(threshold >= 0 && threshold <= 1,
                  "dead_latents(codes, threshold): threshold must be from 0 to 1, got ", threshold);
  const auto active = detail::active_samples(codes);
  std::vector<Index> dead;
  for (Index j = 0; j < active.size(); ++j)
    if (active[j] / static_cast<double>(codes.rows()) <= threshold) dead.push_back(j);
  return dead;
}

}  // namespace filigree
