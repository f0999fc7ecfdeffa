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
    detail::apply_simplex(row, 0.5, weigh);
  }
  template <Real S>
  void apply_dense(DenseRow<S>& row) const {
    detail::apply_simplex(row, 0.5, weigh);
  }
  /// Formula    u (d − Σ u d / Σ u) with u = √w
  template <Real S>
  void backward(const Row<S>&, const Row<S>& out, S* d) const {
    detail::project_gradient(out, d, [](S w) { return std::sqrt(static_cast<double>(w)); });
  }

 private:
  static void weigh(double* z, Index count) { kernel::kernels<double>().entmax15_weights(z, count); }
};

/// Turns scores into probabilities that are sparser than softmax and denser than sparsemax. Weights of 0 are absent.
///
/// Formula    max(s / 2 − τ, 0)², τ such that the sum is 1
/// Cost       O(entries), plus 3 to 10 sums over the scores within 2 of the row's maximum, in double
/// Edge case  NaN or +inf anywhere makes the row NaN
/// Reference  Peters, Niculae and Martins, arXiv:1905.05702, algorithm 2
inline Entmax15 entmax15() { return {}; }

}  // namespace filigree
