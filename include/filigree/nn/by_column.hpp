// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/nn/activations.hpp"

namespace filigree::detail {

/// The entries of lists, sorted by column and, within a column, by row.
///
/// Cost  O(entries + columns)
template <Real S>
class ByColumn {
 public:
  /// Sorts the entries of the lists. `values` are their values or their gradients.
  void sort(const Lists<S>& lists, const S* values, Index cols) {
    sort(cols, [&](auto&& f) {
      for (Index i = 0; i < lists.n; ++i)
        for (Index e = i * lists.stride; e < i * lists.stride + lists.counts[i]; ++e) f(i, lists.columns[e], values[e]);
    });
  }
  /// Sorts entries. each(f) calls f(row, column, value) for all of them, by ascending row. It is called twice.
  template <class Each>
  void sort(Index cols, Each&& each) {
    Index* start = start_.get<Index>(cols + 1);
    std::fill_n(start, cols + 1, Index(0));
    each([&](Index, Index j, S) { ++start[j + 1]; });
    for (Index j = 0; j < cols; ++j) start[j + 1] += start[j];
    Column* rows = rows_.get<Column>(start[cols]);
    S* sorted = values_.get<S>(start[cols]);
    each([&](Index i, Index j, S value) {
      const Index to = start[j]++;
      rows[to] = static_cast<Column>(i);
      sorted[to] = value;
    });
    std::copy_backward(start, start + cols, start + cols + 1);  // each start has advanced to the next one
    start[0] = 0;
    begin_ = start;
    row_ = rows;
    value_ = sorted;
  }

  [[nodiscard]] Index count(Index j) const { return begin_[j + 1] - begin_[j]; }
  [[nodiscard]] const Column* rows(Index j) const { return row_ + begin_[j]; }
  [[nodiscard]] const S* values(Index j) const { return value_ + begin_[j]; }
  /// Returns the sum of the values of column j.
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
