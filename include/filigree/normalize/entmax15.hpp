// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/normalize/simplex.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Normalizer for the 1.5-entmax.
struct Entmax15 {
  using Category = Normalizer;

  template <Real S>
  void apply(Row<S>& row) const {
    const detail::Nearby z = detail::falling(row, 0.5, 1.0);
    if (z.count == 0) return;
    // The mean of the k largest scores and the sum of their squared deviations, by Welford's update, which avoids
    // cancellation.
    double mean = 0, squares = 0, tau = -1;
    for (Index k = 1; k <= z.count; ++k) {
      const double x = z.values[k - 1], size = static_cast<double>(k), deviation = x - mean;
      mean += deviation / size;
      squares += deviation * (x - mean);
      if (squares >= 1) break;
      const double candidate = mean - std::sqrt((1 - squares) / size);
      if (candidate >= x) break;
      tau = candidate;
    }
    for (Index i = 0; i < row.count; ++i) {
      const double above = 0.5 * (static_cast<double>(row.values[i]) - z.highest) - tau;
      row.values[i] = above > 0 ? static_cast<S>(above * above) : S(0);
    }
    row.filter([&](Index i) { return row.values[i] != S(0); });
  }
  /// Formula    u (d − Σ u d / Σ u) with u = √w
  template <Real S>
  void backward(const Row<S>&, const Row<S>& out, S* d) const {
    detail::project_gradient(out, d, [](S w) { return std::sqrt(static_cast<double>(w)); });
  }
};

/// Turns scores into probabilities that are sparser than softmax and denser than sparsemax. Weights of 0 are absent.
///
/// Formula    max(s / 2 − τ, 0)², τ such that the sum is 1
/// Cost       O(entries + c log c) for c scores within 2 of the row's maximum; sums in double
/// Edge case  NaN or +inf anywhere makes the row NaN
/// Reference  Peters, Niculae and Martins, arXiv:1905.05702, algorithm 2
inline Entmax15 entmax15() { return {}; }

}  // namespace filigree
