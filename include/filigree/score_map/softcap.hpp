// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Score map that bounds scores with a scaled tanh.
struct Softcap {
  using Category = ScoreMap;
  static constexpr bool derivative_from_output = true;
  double c;

  template <Real S>
  void map_all(S* values, Index count) const {
    kernel::kernels<S>().softcap({values, count}, 1, count, static_cast<S>(c), false);
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    kernel::kernels<S>().softcap({tile.values, tile.stride}, tile.queries, tile.keys, static_cast<S>(c), true);
  }
  template <Real S>
  S derivative(S, S y) const {
    const S u = y / static_cast<S>(c);
    return (1 - u) * (1 + u);
  }
  Index parameter_count(const Grid&) const { return 1; }
  /// The gradient by c: tanh(s / c) - (s / c) (1 - tanh(s / c)^2).
  template <Real S, class Add>
  void parameter_gradient(S x, S y, Index, Index, const Grid&, S d, const Add& add) const {
    const S u = y / static_cast<S>(c), factor = (1 - u) * (1 + u);
    add(0, d * (factor == 0 ? u : u - x / static_cast<S>(c) * factor));  // x may be infinite where the factor is 0
  }
  template <Real S>
  void check_scalar() const {
    detail::require_finite<S>(c, "softcap(c): c");
    detail::require(static_cast<S>(c) > 0, "softcap(c): c must be positive as a float, got ", c);
  }
};

/// Bounds scores smoothly to (−c, c).
///
/// Formula    c · tanh(s / c)
/// Throws     Error unless c is positive and finite, in double and in the scalar of the scores
/// Reference  Gemma Team, arXiv:2408.00118, section 2
inline Softcap softcap(double c) {
  detail::require(c > 0 && c <= (std::numeric_limits<double>::max)(), "softcap(c): c must be positive and finite, got ",
                  c);
  return {.c = c};
}

}  // namespace filigree
