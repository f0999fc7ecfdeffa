// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/select/rank_bound.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Matrix stage that keeps the largest values of all rows together.
struct BatchTopK {
  using Category = MatrixStage;
  static constexpr bool passes_gradient = true;
  Index k;

  template <Real S>
  [[nodiscard]] detail::RankBound<S> bind(const DenseMatrix<S>& X, const detail::Session& session) const {
    const auto [n, m] = std::pair(X.grid.n, X.grid.m);
    return detail::RankSearch<S>(X, session, false).find({.most = k >= m ? n * m : k * n});  // does not overflow
  }
};

/// Keeps the largest values of N rows together, so that a row may have more or fewer than k.
///
/// Formula    the k · N largest
/// Cost       O(entries): a sample of the entries, one pass over all, and one over the few that may be the last kept
/// Edge case  ties go to the lowest row, then the lowest column; NaN ranks highest; at most k · N entries are all kept
/// Throws     Error if k < 1
/// Reference  Bussmann et al., arXiv:2412.06410, section 3
inline BatchTopK batch_top_k(Index k) {
  detail::require(k >= 1, "batch_top_k(k): k must be at least 1, got ", k);
  return {.k = k};
}

}  // namespace filigree
