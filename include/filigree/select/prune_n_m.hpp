// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/dense_row.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector for n:m structured sparsity.
struct PruneNM {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  Index n, m;

  template <Real S>
  void apply(Row<S>& row) const {
    if (row.count == 0) return;
    // The list is expanded to all columns from the group of its first column on, unless it would be much longer.
    const Index first = row.columns[0] / m * m, last = row.columns[row.count - 1];
    if (last - first >= 8 * row.count + DenseRow<S>::padding) return apply_sparse(row);
    const Index size = last + 1 - first;
    S* values = row.scratch.values.template get<S>(size + DenseRow<S>::padding);
    if (last - row.columns[0] == row.count - 1) {
      std::fill(values, values + (row.columns[0] - first), DenseRow<S>::absent);
      std::copy(row.values, row.values + row.count, values + (row.columns[0] - first));
    } else {
      std::fill(values, values + size, DenseRow<S>::absent);
      for (Index i = 0; i < row.count; ++i) values[row.columns[i] - first] = row.values[i];
    }
    prune(values, size, row.scratch);
    for (Index i = 0; i < row.count; ++i) row.values[i] = values[row.columns[i] - first];
    row.count = kernel::kernels<S>().keep_above(row.values, row.columns, row.count, DenseRow<S>::absent);
  }
  template <Real S>
  void apply_dense(DenseRow<S>& row) const {
    prune(row.values, row.size(), row.scratch);
  }

 private:
  template <Real S>
  void prune(S* values, Index size, RowScratch& scratch) const {
    if (m <= kernel::max_pruned_group)
      kernel::kernels<S>().prune_n_m(values, size, n, m);
    else
      prune_large_groups(values, size, scratch);
  }
  /// Selects the n-th largest rank of each group. Of the equal ones, the first are kept.
  template <Real S>
  void prune_large_groups(S* values, Index size, RowScratch& scratch) const {
    using Rank = kernel::BitsOf<S>;
    // The row's values may be in scratch.values, so both arrays of ranks are in the other buffer.
    const Index stride = size + DenseRow<S>::padding;
    Rank* ranks = scratch.columns.template get<Rank>(2 * stride);
    Rank* sorted = ranks + stride;
    kernel::kernels<S>().magnitude_ranks(values, size, ranks);
    for (Index begin = 0; begin < size; begin += m) {
      const Index count = (std::min)(m, size - begin);
      if (n >= count) continue;
      std::copy(ranks + begin, ranks + begin + count, sorted);
      std::nth_element(sorted, sorted + (n - 1), sorted + count, std::greater<>());
      const Rank bound = sorted[n - 1];
      Index ties = n - std::count_if(sorted, sorted + (n - 1), [&](Rank r) { return r > bound; });
      for (Index i = begin; i < begin + count; ++i) {
        const bool kept = ranks[i] > bound || (ranks[i] == bound && ties > 0);
        ties -= ranks[i] == bound ? 1 : 0;
        values[i] = kept ? values[i] : DenseRow<S>::absent;
      }
    }
  }
  /// The same for a list with large gaps.
  template <Real S>
  void apply_sparse(Row<S>& row) const {
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
