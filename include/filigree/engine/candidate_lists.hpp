// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/run/workspace.hpp"

// Memory for the candidates of the rows of a block.

namespace filigree::detail {

/// Takes memory for lists of at most `stride` entries.
template <Real S>
kernel::Candidates<S> take_lists(Index rows, Index stride, ScratchFrame& frame) {
  return {.values = frame.take<S>(rows * stride),
          .columns = frame.take<Column>(rows * stride),
          .stride = stride,
          .count = frame.take<Column>(rows),
          .bound = frame.take<S>(rows)};
}

/// Moves lists to memory for lists of at most `stride` entries. Counts and bounds stay where they are.
template <Real S>
void grow_lists(kernel::Candidates<S>& lists, Index rows, Index stride, ScratchFrame& frame) {
  S* values = frame.take<S>(rows * stride);
  Column* columns = frame.take<Column>(rows * stride);
  for (Index r = 0; r < rows; ++r) {
    std::copy_n(lists.values + r * lists.stride, lists.count[r], values + r * stride);
    std::copy_n(lists.columns + r * lists.stride, lists.count[r], columns + r * stride);
  }
  lists.values = values;
  lists.columns = columns;
  lists.stride = stride;
}

/// Returns true if no value of a list is NaN, and the largest is not +inf.
template <Real S>
bool is_finite_list(S maximum, const kernel::Candidates<S>& list) {
  bool nan = false;
  for (Index e = 0; e < *list.count; ++e) nan |= list.values[e] != list.values[e];
  return !nan && maximum <= (std::numeric_limits<S>::max)();
}

}  // namespace filigree::detail
