// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector for n:m structured sparsity.
struct PruneNM {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  Index n, m;

  template <Real S>
  void apply(Row<S>& row) const {
    auto* order = row.scratch.columns.template get<Column>(row.count);
    Index out = 0;
    for (Index begin = 0, end = 0; begin < row.count; begin = end) {
      const Index next_group = (row.columns[begin] / m + 1) * m;
      while (end < row.count && row.columns[end] < next_group) {
        order[end - begin] = static_cast<Column>(end);
        ++end;
      }
      const Index kept = (std::min)(n, end - begin);
      detail::best_first(order, end - begin, kept, [&](Column i) { return std::abs(row.values[i]); });
      for (Index i = 0; i < kept; ++i, ++out) {
        row.values[out] = row.values[order[i]];
        row.columns[out] = row.columns[order[i]];
      }
    }
    row.count = out;
  }
};

/// Keeps the n largest magnitudes of each m consecutive columns, as sparse tensor cores require.
///
/// Groups start at columns 0, m, 2m, ...; absent entries do not count.
/// Formula    the n largest |x| of each m
/// Cost       O(columns) per row
/// Edge case  ties go to the lowest column; NaN ranks highest; the last group may be short
/// Throws     Error unless 1 <= n <= m
/// Reference  Mishra et al., arXiv:2104.08378, section 3
inline PruneNM prune_n_m(Index n, Index m) {
  detail::require(n >= 1, "prune_n_m(n, m): n must be at least 1, got ", n);
  detail::require(n <= m, "prune_n_m(n, m): n = ", n, " must be at most m = ", m);
  return {.n = n, .m = m};
}

}  // namespace filigree
