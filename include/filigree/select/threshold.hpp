// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/check.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector that keeps values above a threshold.
struct Threshold {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  double t;

  template <Real S>
  void apply(Row<S>& row) const {
    row.count = kernel::kernels<S>().keep_above(row.values, row.columns, row.count, detail::round_bound<S>(t));
  }
  template <Real S>
  void select_values(const S* from, S* to, Index count, S absent) const {
    kernel::kernels<S>().select_above(from, to, count, detail::round_bound<S>(t), absent);
  }
};

/// Keeps values larger than t: [0.9 0.1 0.8 0.6 0.2 0.3] | threshold(0.5) is [0.9 0 0.8 0.6 0 0].
///
/// Formula    x > t
/// Edge case  t is rounded to the scalar of the scores; NaN is kept
/// Throws     Error if t is NaN
inline Threshold threshold(double t) {
  detail::require(t == t, "threshold(t): t must be a number, got ", t);
  return {.t = t};
}

/// Keeps positive values: threshold(0).
///
/// Formula    x > 0
inline Threshold relu() { return {.t = 0}; }

}  // namespace filigree
