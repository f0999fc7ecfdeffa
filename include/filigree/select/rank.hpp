// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/concepts.hpp"

// The ranking of all selectors: larger values first, NaN above all numbers, ties by ascending index.

namespace filigree::detail {

/// Returns true if a ranks strictly above b.
template <Real S>
bool ranks_above(S a, S b) {
  return a > b || (a != a && b == b);
}

/// Returns a comparison that orders indices by the rank of value(i).
template <class Value>
auto by_rank(Value value) {
  return [value](auto a, auto b) {
    const auto x = value(a), y = value(b);
    return ranks_above(x, y) || (!ranks_above(y, x) && a < b);
  };
}

/// Moves the `keep` best indices of order[0, count) to its front, in ascending order.
template <class Integer, class Value>
void best_first(Integer* order, Index count, Index keep, Value value) {
  if (keep >= count) return;
  std::nth_element(order, order + keep, order + count, by_rank(value));
  std::sort(order, order + keep);
}

}  // namespace filigree::detail
