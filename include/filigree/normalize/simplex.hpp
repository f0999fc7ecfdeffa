// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <limits>

#include "filigree/pipe/row.hpp"

// What sparsemax and entmax share: only scores close to the row's maximum can get a weight.

namespace filigree::detail {

struct Nearby {
  double* values;  // [count] scale * (score - highest), at most 0
  Index count;
  double highest;
};

/// The scores of a row that lie less than reach below its maximum, after scaling. A row with NaN or +inf becomes NaN,
/// and the list is empty.
///
/// Differences from the maximum keep sums finite, and lose nothing where they are small.
template <Real S>
Nearby nearby(Row<S>& row, double scale, double reach) {
  S highest = -std::numeric_limits<S>::infinity();
  bool broken = false;
  for (Index i = 0; i < row.count; ++i) {
    highest = row.values[i] > highest ? row.values[i] : highest;
    broken |= !(row.values[i] <= (std::numeric_limits<S>::max)());
  }
  if (broken) {
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

/// The same in falling order.
template <Real S>
Nearby falling(Row<S>& row, double scale, double reach) {
  const Nearby z = nearby(row, scale, reach);
  std::sort(z.values, z.values + z.count, std::greater<>());
  return z;
}

}  // namespace filigree::detail
