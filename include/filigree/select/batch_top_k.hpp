// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/select/keep_best.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Matrix stage that keeps the largest values of all rows together.
struct BatchTopK {
  using Category = MatrixStage;
  static constexpr bool passes_gradient = true;
  static constexpr bool keeps_largest = true;  // it keeps the largest kept() entries of all rows
  Index k;

  template <Real S>
  void apply(RowList<S>& list) const {
    detail::keep_best(list, kept(list.grid.n, list.count()), [](S x) { return x; });
  }
  // Returns the number of entries kept, given the number of rows n and of entries.
  [[nodiscard]] Index kept(Index n, Index entries) const {
    return n == 0 || k >= detail::ceil_div(entries, n) ? entries : k * n;  // k * n is at most entries here: no overflow
  }
};

/// Keeps the largest values of N rows together, so that a row may have more or fewer than k.
///
/// Formula    the k · N largest
/// Cost       O(entries)
/// Edge case  ties go to the lowest row, then the lowest column; NaN ranks highest; at most k · N entries are all kept
/// Throws     Error if k < 1
/// Reference  Bussmann et al., arXiv:2412.06410, section 3
inline BatchTopK batch_top_k(Index k) {
  detail::require(k >= 1, "batch_top_k(k): k must be at least 1, got ", k);
  return {.k = k};
}

}  // namespace filigree
