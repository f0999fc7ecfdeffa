// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Score map that subtracts a multiple of the distance between query and key.
struct Alibi {
  using Category = ScoreMap;
  double slope;

  template <Real S>
  S map(S s, Index p, Index j, const Grid&) const {
    const S penalty = static_cast<S>(slope) * static_cast<S>(p < j ? j - p : p - j);
    return s - penalty;
  }
  template <Real S>
  void check_scalar() const {
    detail::require_finite<S>(slope, "alibi(slope): slope");
  }
};

/// Lowers each score in proportion to the distance.
///
/// Formula    s − slope · |p − j|
/// Throws     Error unless slope is finite, in double and in the scalar of the scores
/// Reference  Press et al., arXiv:2108.12409, section 3
inline Alibi alibi(double slope) {
  detail::require(std::isfinite(slope), "alibi(slope): slope must be finite, got ", slope);
  return {.slope = slope};
}

}  // namespace filigree
