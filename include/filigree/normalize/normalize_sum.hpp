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
    const double sum = sum_of(row);
    if (sum == 0) {
      row.count = 0;
    } else if (!(sum <= (std::numeric_limits<double>::max)() && sum >= std::numeric_limits<double>::lowest())) {
      row.fill(std::numeric_limits<S>::quiet_NaN());
    } else {
      for (Index i = 0; i < row.count; ++i) row.values[i] = static_cast<S>(static_cast<double>(row.values[i]) / sum);
    }
  }
  /// Formula    (d − Σ w d) / Σ s
  template <Real S>
  void backward(const Row<S>& in, const Row<S>& out, S* d) const {
    double mean = 0;
    for (Index i = 0; i < out.count; ++i) mean += static_cast<double>(out.values[i]) * static_cast<double>(d[i]);
    const double sum = sum_of(in);
    for (Index i = 0; i < out.count; ++i) d[i] = static_cast<S>((static_cast<double>(d[i]) - mean) / sum);
  }

 private:
  template <Real S>
  static double sum_of(const Row<S>& row) {
    double sum = 0;
    for (Index i = 0; i < row.count; ++i) sum += static_cast<double>(row.values[i]);
    return sum;
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
