// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <limits>

#include "filigree/stage/row.hpp"

// Helpers of sparsemax and entmax. Only scores close to the row's maximum can have a nonzero weight.

namespace filigree::detail {

/// The scaled scores of a row that are close to its maximum.
struct Nearby {
  double* values;  // [count] scale * (score - highest), at most 0
  Index count;
  double highest;
};

/// Returns the scores of a row that are less than `reach` below its maximum, after scaling. If the row holds NaN or
/// +inf, fills it with NaN and returns an empty list.
///
/// Differences from the maximum keep the sums finite and are exact for scores close to it.
template <Real S>
Nearby nearby(Row<S>& row, double scale, double reach) {
  S highest = -std::numeric_limits<S>::infinity();
  bool invalid = false;
  for (Index i = 0; i < row.count; ++i) {
    highest = row.values[i] > highest ? row.values[i] : highest;
    invalid |= !(row.values[i] <= (std::numeric_limits<S>::max)());
  }
  if (invalid) {
    row.fill(std::numeric_limits<S>::quiet_NaN());
    return {nullptr, 0, 0};
  }
  double* values = row.scratch.values.template get<double>(row.count);
  Index count = 0;
  for (Index i = 0; i < row.count; ++i) {
    values[count] = scale * (static_cast<double>(row.values[i]) - static_cast<double>(highest));
    count += values[count] > -reach ? 1 : 0;
  }
  return {values, count, static_cast<double>(highest)};
}

/// Returns the scores that nearby() returns, in descending order.
template <Real S>
Nearby falling(Row<S>& row, double scale, double reach) {
  const Nearby z = nearby(row, scale, reach);
  std::sort(z.values, z.values + z.count, std::greater<>());
  return z;
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
