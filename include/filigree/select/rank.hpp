// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/concepts.hpp"

// The order that every selector ranks by: larger values first, NaN above all, the lowest index first among equals.

namespace filigree::detail {

template <Real S>
bool ranks_above(S a, S b) {
  return a > b || (a != a && b == b);
}

/// Puts indices of values in order of rank; value(i) is what index i ranks by.
template <class Value>
auto by_rank(Value value) {
  return [value](auto a, auto b) {
    const auto x = value(a), y = value(b);
    return ranks_above(x, y) || (!ranks_above(y, x) && a < b);
  };
}

/// Moves the `keep` best of order[0, count) to the front, in ascending order of index.
template <class Integer, class Value>
void best_first(Integer* order, Index count, Index keep, Value value) {
  if (keep >= count) return;
  std::nth_element(order, order + keep, order + count, by_rank(value));
  std::sort(order, order + keep);
}

}  // namespace filigree::detail
