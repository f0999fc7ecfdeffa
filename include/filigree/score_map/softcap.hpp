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
  double c;

  template <Real S>
  S map(S x, Index, Index, const Grid&) const {
    map_all(&x, 1);
    return x;
  }
  template <Real S>
  void map_all(S* values, Index count) const {
    kernel::kernels<S>().softcap(values, count, static_cast<S>(c));
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
