// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector that keeps the k largest scores.
struct TopK {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  Index k;

  template <Real S>
  void apply(Row<S>& row) const {
    S bound = -std::numeric_limits<S>::infinity();
    row.count = kernel::kernels<S>().keep_top_k_of(row.values, row.columns, row.count, k, 0, &bound);
  }
  template <Real S>
  Index list_kept(const S* values, Index m, S* kept, Column* columns) const {
    return kernel::kernels<S>().copy_top_k(values, m, k, kept, columns);
  }
  // Returns the largest number of entries that a row of m columns can keep.
  [[nodiscard]] Index max_kept(Index m) const { return k < m ? k : m; }
};

/// Keeps the k largest scores of each row.
///
/// Formula    the k largest s
/// Cost       O(m) per row, O(k) memory when fused
/// Edge case  k above the number of allowed keys keeps them all; ties go to the lowest key; NaN ranks highest
/// Throws     Error if k < 1
/// Reference  Gupta et al., arXiv:2106.06899, section 3
inline TopK top_k(Index k) {
  detail::require(k >= 1, "top_k(k): k must be at least 1, got ", k);
  return {.k = k};
}

}  // namespace filigree
