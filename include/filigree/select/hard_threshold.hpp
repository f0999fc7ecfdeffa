// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector that keeps large magnitudes.
struct HardThreshold {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  double t;

  template <Real S>
  void apply(Row<S>& row) const {
    const S bound = detail::round_bound<S>(t);
    row.filter([&](Index i) { return !(std::abs(row.values[i]) <= bound); });
  }
  template <Real S>
  void select_values(const S* from, S* to, Index count, S absent) const {
    kernel::kernels<S>().select_magnitudes(from, to, count, detail::round_bound<S>(t), absent);
  }
};

/// Keeps values larger than t in magnitude.
///
/// Formula    |x| > t
/// Edge case  t is rounded to the scalar of the scores; NaN is kept
/// Throws     Error if t is negative or NaN
/// Reference  Blumensath and Davies, J. Fourier Anal. Appl. 14, 2008
inline HardThreshold hard_threshold(double t) {
  detail::require(t >= 0, "hard_threshold(t): t must be at least 0, got ", t);
  return {.t = t};
}

}  // namespace filigree
