// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/row_list.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Matrix stage that keeps the largest values of each column.
struct WinnerTakeAll {
  using Category = MatrixStage;
  static constexpr bool passes_gradient = true;
  double fraction;

  template <Real S>
  void apply(RowList<S>& list) const {
    const auto winners =
        std::max<Index>(1, static_cast<Index>(std::floor(fraction * static_cast<double>(list.grid.n))));
    // The entries sorted by column, with ascending rows in each column.
    const Index m = list.grid.m, count = list.count();
    list.memory.assign(static_cast<std::size_t>(m + 1 + 2 * count), 0);
    Index *end = list.memory.data(), *entries = end + m + 1, *wins = entries + count;
    for (const Column c : list.columns) ++end[c + 1];
    for (Index c = 0; c < m; ++c) end[c + 1] += end[c];
    for (Index e = 0; e < count; ++e) entries[end[list.columns[static_cast<std::size_t>(e)]]++] = e;

    for (Index c = 0; c < m; ++c) {
      const Index begin = c > 0 ? end[c - 1] : 0, keep = (std::min)(winners, end[c] - begin);
      Index* column = entries + begin;
      detail::best_first(column, end[c] - begin, keep,
                         [&](Index e) { return list.values[static_cast<std::size_t>(e)]; });
      for (Index i = 0; i < keep; ++i) wins[column[i]] = 1;
    }
    list.filter([&](Index e) { return wins[e] != 0; });
  }
};

/// Keeps the largest values of each column over a batch of N rows.
///
/// Formula    max(1, ⌊fraction · N⌋) of each column
/// Cost       O(entries)
/// Edge case  ties go to the lowest row; NaN ranks highest; N counts all rows, including those without an entry
/// Throws     Error unless 0 < fraction <= 1
/// Reference  Makhzani and Frey, arXiv:1409.2752, section 2.1 (lifetime sparsity)
inline WinnerTakeAll winner_take_all(double fraction) {
  detail::require(fraction > 0 && fraction <= 1,
                  "winner_take_all(fraction): fraction must be above 0 and at most 1, got ", fraction);
  return {.fraction = fraction};
}

}  // namespace filigree
