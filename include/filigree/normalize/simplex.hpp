// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/dense_row.hpp"
#include "filigree/stage/row.hpp"

// Helpers of sparsemax and entmax. Only scores close to the row's maximum can have a nonzero weight.

namespace filigree::detail {

/// Returns a bound below all scores that are at most `reach` below the highest, also after rounding.
template <Real S>
S bound_within(S highest, double reach) {
  const auto top = static_cast<double>(highest);
  const double bound = top - 1.001 * reach - 0x1p-20 * std::abs(top);
  return bound >= static_cast<double>(std::numeric_limits<S>::lowest()) ? static_cast<S>(bound)
                                                                        : -std::numeric_limits<S>::infinity();
}

/// Replaces the scores of a row by weights, in place. weigh(z, count) replaces z = scale * (score - highest) by
/// weights, for a list that has at least all scores with z > -1; it may write up to 16 numbers after the list. Weights
/// of 0 are absent. If the row holds NaN or +inf, all weights are NaN.
///
/// Differences from the maximum keep the sums finite and are exact for scores close to it.
template <Real S, class Weigh>
void apply_simplex(Row<S>& row, double scale, const Weigh& weigh) {
  const auto& kernels = kernel::kernels<S>();
  bool nan = false;
  const S highest = kernels.largest_of(row.values, row.count, &nan);
  if (nan || highest > (std::numeric_limits<S>::max)()) return row.fill(std::numeric_limits<S>::quiet_NaN());
  if (row.count == 0) return;
  row.count = kernels.keep_above(row.values, row.columns, row.count, bound_within(highest, 1 / scale));
  auto* z = row.scratch.values.template get<double>(row.count + Row<S>::padding);
  kernels.differences(row.values, row.count, highest, scale, z);
  weigh(z, row.count);
  Index kept = 0;
  for (Index i = 0; i < row.count; ++i) {
    row.values[kept] = static_cast<S>(z[i]);
    row.columns[kept] = row.columns[i];
    kept += row.values[kept] != S(0) ? 1 : 0;
  }
  row.count = kept;
}

/// Does the same for a dense row.
template <Real S, class Weigh>
void apply_simplex(DenseRow<S>& row, double scale, const Weigh& weigh) {
  const auto& kernels = kernel::kernels<S>();
  const Index size = row.size();
  bool nan = false;
  const S highest = kernels.largest_of(row.values, size, &nan);
  if (nan || highest > (std::numeric_limits<S>::max)()) {
    for (Index i = 0; i < size; ++i)
      if (row.values[i] != row.absent) row.values[i] = std::numeric_limits<S>::quiet_NaN();
    return;
  }
  if (highest == row.absent) return;
  const Index stride = size + row.padding;
  auto* z = row.scratch.values.template get<double>(2 * stride);
  auto* candidates = reinterpret_cast<S*>(z + stride);
  auto* columns = row.scratch.columns.template get<Column>(stride);
  const Index count = kernels.take_above(row.values, size, bound_within(highest, 1 / scale), candidates, columns);
  kernels.differences(candidates, count, highest, scale, z);
  weigh(z, count);
  for (Index i = 0; i < count; ++i) {
    const S weight = static_cast<S>(z[i]);
    row.values[columns[i]] = weight != S(0) ? weight : row.absent;
  }
}

/// Replaces d by u (d - sum(u d) / sum(u)), where u = factor(weight): the backward pass of sparsemax and entmax. Sums
/// in double.
///
/// Reference  Peters, Niculae and Martins, arXiv:1905.05702, proposition 2
template <Real S, class Factor>
void project_gradient(const Row<S>& out, S* d, const Factor& factor) {
  double total = 0, weighted = 0;
  for (Index i = 0; i < out.count; ++i) {
    const double u = factor(out.values[i]);
    total += u;
    weighted += u * static_cast<double>(d[i]);
  }
  const double mean = weighted / total;
  for (Index i = 0; i < out.count; ++i)
    d[i] = static_cast<S>(factor(out.values[i]) * (static_cast<double>(d[i]) - mean));
}

}  // namespace filigree::detail
