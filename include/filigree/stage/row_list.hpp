// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/list.hpp"
#include "filigree/stage/row.hpp"

namespace filigree {

/// All rows between two stages: row i has the entries start[i] <= e < start[i + 1], in ascending columns.
template <Real S>
struct RowList {
  Grid grid;
  detail::List<Index> start = {0};
  detail::List<Column> columns{};
  detail::List<S> values{};
  detail::List<Index> memory{};  // scratch memory for stages

  [[nodiscard]] Index count() const { return values.size(); }

  void clear(const Grid& of) {
    grid = of;
    start.assign(1, 0);
    columns.clear();
    values.clear();
  }
  void append(const Row<S>& row) {
    columns.append(row.columns, row.columns + row.count);
    values.append(row.values, row.values + row.count);
    start.push_back(count());
  }

  /// Removes the entries for which keep(e) is false.
  template <class Keep>
  void filter(Keep&& keep) {
    Index kept = 0, row = 0;
    for (Index e = 0; e < values.size(); ++e) {
      while (start[row + 1] <= e) start[++row] = kept;
      if (!keep(e)) continue;
      values[kept] = values[e];
      columns[kept++] = columns[e];
    }
    while (row + 1 < start.size()) start[++row] = kept;
    values.resize(kept);
    columns.resize(kept);
  }
};

}  // namespace filigree
