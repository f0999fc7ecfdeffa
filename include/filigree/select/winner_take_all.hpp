// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/pipe/row_list.hpp"
#include "filigree/pipe/stage.hpp"
#include "filigree/select/rank.hpp"

namespace filigree {

/// What winner_take_all(fraction) returns.
struct WinnerTakeAll {
  using Category = MatrixStage;
  double fraction;

  template <Real S>
  void apply(RowList<S>& list) const {
    const auto winners =
        std::max<Index>(1, static_cast<Index>(std::floor(fraction * static_cast<double>(list.grid.n))));
    // Entries by column, ascending rows within one.
    std::vector<Index> start(static_cast<std::size_t>(list.grid.m) + 1);
    for (const Column c : list.columns) ++start[static_cast<std::size_t>(c) + 1];
    for (std::size_t c = 1; c < start.size(); ++c) start[c] += start[c - 1];
    std::vector<Index> entries(list.values.size()), next(start.begin(), start.end());
    for (std::size_t e = 0; e < entries.size(); ++e)
      entries[static_cast<std::size_t>(next[static_cast<std::size_t>(list.columns[e])]++)] = static_cast<Index>(e);

    std::vector<char> wins(entries.size());
    for (std::size_t c = 0; c + 1 < start.size(); ++c) {
      const Index count = start[c + 1] - start[c], keep = (std::min)(winners, count);
      Index* column = entries.data() + start[c];
      detail::best_first(column, count, keep, [&](Index e) { return list.values[static_cast<std::size_t>(e)]; });
      for (Index i = 0; i < keep; ++i) wins[static_cast<std::size_t>(column[i])] = 1;
    }
    list.filter([&](Index e) { return wins[static_cast<std::size_t>(e)] != 0; });
  }
};

/// Keeps the largest values of each column over a batch of N rows: floor(fraction * N) of them, at least one.
///
/// Cost       O(entries)
/// Edge case  ties go to the lowest row; NaN ranks highest; what is absent already does not change how many are kept
/// Throws     Error unless 0 < fraction <= 1
/// Reference  Makhzani and Frey, arXiv:1409.2752, section 2.1 (lifetime sparsity)
inline WinnerTakeAll winner_take_all(double fraction) {
  detail::require(fraction > 0 && fraction <= 1,
                  "winner_take_all(fraction): fraction must be above 0 and at most 1, got ", fraction);
  return {.fraction = fraction};
}

}  // namespace filigree
