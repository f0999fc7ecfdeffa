// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/activations.hpp"

namespace filigree::detail {

/// Lists by column: who has an entry in it, in ascending rows, and which.
///
/// Cost  O(entries + columns)
template <Real S>
class ByColumn {
 public:
  /// `values` belong to the lists: their values or their gradients.
  void sort(const Lists<S>& lists, const S* values, Index cols) {
    Index* start = start_.get<Index>(cols + 1);
    std::fill_n(start, cols + 1, Index(0));
    const auto each = [&](auto&& f) {
      for (Index i = 0; i < lists.n; ++i)
        for (Index e = i * lists.stride; e < i * lists.stride + lists.counts[i]; ++e) f(i, e);
    };
    each([&](Index, Index e) { ++start[lists.columns[e] + 1]; });
    for (Index j = 0; j < cols; ++j) start[j + 1] += start[j];
    Column* rows = rows_.get<Column>(start[cols]);
    S* sorted = values_.get<S>(start[cols]);
    each([&](Index i, Index e) {
      const Index to = start[lists.columns[e]]++;
      rows[to] = static_cast<Column>(i);
      sorted[to] = values[e];
    });
    std::copy_backward(start, start + cols, start + cols + 1);  // each has moved to where the next one begins
    start[0] = 0;
    begin_ = start;
    row_ = rows;
    value_ = sorted;
  }

  [[nodiscard]] Index count(Index j) const { return begin_[j + 1] - begin_[j]; }
  [[nodiscard]] const Column* rows(Index j) const { return row_ + begin_[j]; }
  [[nodiscard]] const S* values(Index j) const { return value_ + begin_[j]; }
  /// The sum of a column's values.
  [[nodiscard]] S sum(Index j) const {
    double sum = 0;
    for (Index e = begin_[j]; e < begin_[j + 1]; ++e) sum += static_cast<double>(value_[e]);
    return static_cast<S>(sum);
  }

 private:
  Buffer start_, rows_, values_;
  const Index* begin_ = nullptr;
  const Column* row_ = nullptr;
  const S* value_ = nullptr;
};

}  // namespace filigree::detail
