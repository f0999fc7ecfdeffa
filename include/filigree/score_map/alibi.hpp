// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Score map that subtracts a multiple of the distance between query and key.
struct Alibi {
  using Category = ScoreMap;
  double slope;

  template <Real S>
  S map(S s, Index p, Index j, const Grid&) const {
    kernel::kernels<S>().subtract_distances({&s, 1}, 1, 1, static_cast<S>(slope), j - p);  // rounds as map_tile
    return s;
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    kernel::kernels<S>().subtract_distances({tile.values, tile.stride}, tile.queries, tile.keys, static_cast<S>(slope),
                                            tile.j - tile.p);
  }
  static constexpr bool derivative_is_one = true;
  template <Real S>
  S derivative(S, S) const {
    return 1;
  }
  Index parameter_count(const Grid&) const { return 1; }
  /// The gradient by the slope: -|p - j|.
  template <Real S, class Add>
  void parameter_gradient(S, S, Index p, Index j, const Grid&, S d, const Add& add) const {
    add(0, -distance<S>(p, j) * d);
  }
  template <Real S>
  void check_scalar() const {
    detail::require_finite<S>(slope, "alibi(slope): slope");
  }

 private:
  template <Real S>
  static S distance(Index p, Index j) {
    return static_cast<S>(p < j ? j - p : p - j);
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
