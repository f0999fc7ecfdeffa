// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/dense_row.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Normalizer that divides by the sum of the row.
struct NormalizeSum {
  using Category = Normalizer;

  template <Real S>
  void apply(Row<S>& row) const {
    const double sum = sum_of(row);
    if (sum == 0)
      row.count = 0;
    else if (!is_finite(sum))
      row.fill(std::numeric_limits<S>::quiet_NaN());
    else
      kernel::kernels<S>().divide(row.values, row.count, sum);
  }
  template <Real S>
  void apply_dense(DenseRow<S>& row) const {
    const double sum = kernel::kernels<S>().sum_present(row.values, row.size());
    if (sum != 0 && is_finite(sum)) return kernel::kernels<S>().divide(row.values, row.size(), sum);
    const S value = sum == 0 ? row.absent : std::numeric_limits<S>::quiet_NaN();
    for (Index i = 0; i < row.size(); ++i)
      if (row.values[i] != row.absent) row.values[i] = value;
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
  static bool is_finite(double sum) { return std::abs(sum) <= (std::numeric_limits<double>::max)(); }
  /// Returns the sum that the kernel computes for the dense row.
  template <Real S>
  static double sum_of(const Row<S>& row) {
    constexpr Column parts = 16;
    double sums[parts] = {};
    for (Index i = 0; i < row.count; ++i) sums[row.columns[i] % parts] += static_cast<double>(row.values[i]);
    for (Column size = parts / 2; size > 0; size /= 2)
      for (Column i = 0; i < size; ++i) sums[i] += sums[i + size];
    return sums[0];
  }
};

/// Divides the scores of a row by their sum, without an exponential.
///
/// The sum is computed in double, from the sums of every sixteenth column. Its error is bounded relative to the sum of
/// magnitudes.
/// Formula    s / Σ s
/// Edge case  a sum of 0 makes the row empty; NaN or an infinite sum makes the row NaN
inline NormalizeSum normalize_sum() { return {}; }

}  // namespace filigree
