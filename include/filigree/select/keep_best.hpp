// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/pipe/row_list.hpp"
#include "filigree/select/rank.hpp"

namespace filigree::detail {

/// Keeps the `keep` best entries of all rows; value(x) is what an entry x ranks by.
template <Real S, class Value>
void keep_best(RowList<S>& list, Index keep, Value value) {
  if (keep >= list.count()) return;
  std::vector<Index>& order = list.memory;
  order.resize(list.values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
  best_first(order.data(), list.count(), keep,
             [&](Index e) { return value(list.values[static_cast<std::size_t>(e)]); });
  auto next = order.begin();
  const auto end = order.begin() + keep;
  list.filter([&](Index e) { return next != end && *next == e && (++next, true); });
}

}  // namespace filigree::detail
