// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector that keeps large magnitudes and shrinks them.
struct SoftThreshold {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  double t;

  template <Real S>
  void apply(Row<S>& row) const {
    const S bound = detail::round_bound<S>(t);
    row.filter([&](Index i) { return !(std::abs(row.values[i]) <= bound); });
    for (Index i = 0; i < row.count; ++i) row.values[i] -= std::copysign(bound, row.values[i]);
  }
  template <Real S>
  void select_values(const S* from, S* to, Index count, S absent) const {
    kernel::kernels<S>().shrink_magnitudes(from, to, count, detail::round_bound<S>(t), absent);
  }
};

/// Keeps values larger than t in magnitude and moves them toward 0 by t.
///
/// Formula    sign(x) · (|x| − t) where |x| > t
/// Edge case  t is rounded to the scalar of the scores; NaN is kept
/// Throws     Error if t is negative or NaN
/// Reference  Donoho, IEEE Trans. Inf. Theory 41, 1995
inline SoftThreshold soft_threshold(double t) {
  detail::require(t >= 0, "soft_threshold(t): t must be at least 0, got ", t);
  return {.t = t};
}

}  // namespace filigree
