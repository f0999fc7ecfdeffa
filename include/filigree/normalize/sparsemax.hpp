// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/normalize/simplex.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Normalizer that projects onto the probability simplex.
struct Sparsemax {
  using Category = Normalizer;

  template <Real S>
  void apply(Row<S>& row) const {
    const detail::Nearby z = detail::falling(row, 1.0, 1.0);
    if (z.count == 0) return;
    double sum = 0, tau = 0;
    for (Index k = 1; k <= z.count; ++k) {
      sum += z.values[k - 1];
      const double candidate = (sum - 1) / static_cast<double>(k);
      if (candidate >= z.values[k - 1]) break;
      tau = candidate;
    }
    for (Index i = 0; i < row.count; ++i) {
      const double above = (static_cast<double>(row.values[i]) - z.highest) - tau;
      row.values[i] = above > 0 ? static_cast<S>(above) : S(0);
    }
    row.filter([&](Index i) { return row.values[i] != S(0); });
  }
  /// Subtracts the mean of the gradients over the support.
  template <Real S>
  void backward(const Row<S>&, const Row<S>& out, S* d) const {
    detail::project_gradient(out, d, [](S) { return 1.0; });
  }
};

/// Projects the scores of a row onto the probability simplex. Weights of 0 are absent.
///
/// Formula    max(s − τ, 0), τ such that the sum is 1
/// Cost       O(entries + c log c) for c scores within 1 of the row's maximum; sums in double
/// Edge case  NaN or +inf anywhere makes the row NaN
/// Reference  Martins and Astudillo, arXiv:1602.02068, algorithm 1
inline Sparsemax sparsemax() { return {}; }

}  // namespace filigree
