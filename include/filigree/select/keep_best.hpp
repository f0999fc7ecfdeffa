// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/list.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/row_list.hpp"

namespace filigree::detail {

/// Keeps the `keep` best entries of all rows together, ranked by value(x) for an entry x.
template <Real S, class Value>
void keep_best(RowList<S>& list, Index keep, Value value) {
  if (keep >= list.count()) return;
  List<Index>& order = list.memory;
  order.resize(list.count());
  for (Index i = 0; i < order.size(); ++i) order[i] = i;
  best_first(order.data(), list.count(), keep, [&](Index e) { return value(list.values[e]); });
  const Index* next = order.begin();
  const Index* const end = order.begin() + keep;
  list.filter([&](Index e) { return next != end && *next == e && (++next, true); });
}

}  // namespace filigree::detail
