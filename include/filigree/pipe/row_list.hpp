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

  [[nodiscard]] Index count() const { return static_cast<Index>(values.size()); }

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
