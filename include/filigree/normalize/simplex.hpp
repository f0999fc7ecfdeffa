// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <limits>

#include "filigree/stage/row.hpp"

// Helpers of sparsemax and entmax, where only scores close to the row's maximum can have a nonzero weight.

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

}  // namespace filigree::detail
