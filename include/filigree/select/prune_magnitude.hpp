// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/check.hpp"
#include "filigree/select/rank_bound.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Matrix stage that drops a fraction of the smallest magnitudes.
struct PruneMagnitude {
  using Category = MatrixStage;
  static constexpr bool passes_gradient = true;
  double fraction;

  template <Real S>
  [[nodiscard]] detail::RankBound<S> bind(const DenseMatrix<S>& X, const detail::Session& session) const {
    return detail::RankSearch<S>(X, session, true).find({.dropped = fraction});
  }
};

/// Drops a fraction of the present entries of a whole matrix, the entries of smallest magnitude.
///
/// Formula    drops ⌊fraction · count⌋
/// Cost       O(entries): a sample of the entries, one pass over all, and one over the few that may be the last kept
/// Edge case  of equal magnitudes, the first in row-major order are kept; NaN ranks highest and is kept even for
///            fraction = 1
/// Throws     Error unless 0 <= fraction <= 1
/// Reference  Han et al., arXiv:1506.02626, section 3
inline PruneMagnitude prune_magnitude(double fraction) {
  detail::require(fraction >= 0 && fraction <= 1, "prune_magnitude(fraction): fraction must be between 0 and 1, got ",
                  fraction);
  return {.fraction = fraction};
}

}  // namespace filigree
