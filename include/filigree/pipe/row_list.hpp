// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "filigree/pipe/row.hpp"

namespace filigree {

/// All rows between two stages: row i holds entries start[i] <= e < start[i + 1], columns ascending.
template <Real S>
struct RowList {
  Grid grid;
  std::vector<Index> start = {0};
  std::vector<Column> columns{};
  std::vector<S> values{};
  std::vector<Index> memory{};  // that stages may use

  [[nodiscard]] Index count() const { return static_cast<Index>(values.size()); }

  void clear(const Grid& of) {
    grid = of;
    start.assign(1, 0);
    columns.clear();
    values.clear();
  }
  void append(const Row<S>& row) {
    columns.insert(columns.end(), row.columns, row.columns + row.count);
    values.insert(values.end(), row.values, row.values + row.count);
    start.push_back(count());
  }

  /// Drops the entries for which keep(e) is false.
  template <class Keep>
  void filter(Keep&& keep) {
    std::size_t kept = 0, row = 0;
    for (std::size_t e = 0; e < values.size(); ++e) {
      while (static_cast<std::size_t>(start[row + 1]) <= e) start[++row] = static_cast<Index>(kept);
      if (!keep(static_cast<Index>(e))) continue;
      values[kept] = values[e];
      columns[kept++] = columns[e];
    }
    while (row + 1 < start.size()) start[++row] = static_cast<Index>(kept);
    values.resize(kept);
    columns.resize(kept);
  }
};

}  // namespace filigree
