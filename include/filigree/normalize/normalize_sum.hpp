// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/stage/stage.hpp"

namespace filigree {

/// Normalizer that divides by the sum of the row.
struct NormalizeSum {
  using Category = Normalizer;

  template <Real S>
  void apply(Row<S>& row) const {
    double sum = 0;
    for (Index i = 0; i < row.count; ++i) sum += static_cast<double>(row.values[i]);
    if (sum == 0) {
      row.count = 0;
    } else if (!(sum <= (std::numeric_limits<double>::max)() && sum >= std::numeric_limits<double>::lowest())) {
      row.fill(std::numeric_limits<S>::quiet_NaN());
    } else {
      for (Index i = 0; i < row.count; ++i) row.values[i] = static_cast<S>(static_cast<double>(row.values[i]) / sum);
    }
  }
};

/// Divides the scores of a row by their sum, without an exponential.
///
/// The sum is computed in double, in ascending order of columns. Its error is bounded relative to the sum of
/// magnitudes.
/// Formula    s / Σ s
/// Edge case  a sum of 0 makes the row empty; NaN or an infinite sum makes the row NaN
inline NormalizeSum normalize_sum() { return {}; }

}  // namespace filigree
