// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/term.hpp"

namespace filigree {

/// What normalized_squared_error() returns.
struct NormalizedSquaredError {
  using Kind = Loss;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    const Index n = y.rows(), cols = y.cols();
    if (n == 0) return 0;
    const double* sums = detail::sum_columns(target, session, [](S x) { return x; });
    const double spread = detail::sum_over_rows(n, session, [&](Index i) {
      double sum = 0;
      for (Index j = 0; j < cols; ++j) {
        const double r = static_cast<double>(target(i, j)) - sums[j] / static_cast<double>(n);
        sum += r * r;
      }
      return sum;
    });
    bool alike = true;
    for (Index i = 1; i < n && alike; ++i) alike = target.row(i) == target.row(0);
    detail::require(!alike, "normalized_squared_error(): the targets of a batch must differ, and these ", n,
                    " are all alike");
    const double share = factor / spread;
    return share * detail::sum_over_rows(n, session, [&](Index i) {
             double sum = 0;
             for (Index j = 0; j < cols; ++j) {
               const double r = static_cast<double>(y(i, j)) - static_cast<double>(target(i, j));
               sum += r * r;
               if (gradient != nullptr) gradient[i * cols + j] += static_cast<S>(2 * share * r);
             }
             return sum;
           });
  }
};

/// Measures the squared error relative to that of the batch's mean: 1 for predicting the mean.
///
/// Formula    Σ ‖y − t‖² / Σ ‖t − mean t‖²
/// Throws     Error if the targets of a batch are all alike
/// Reference  Gao et al., arXiv:2406.04093, section 2.1
inline NormalizedSquaredError normalized_squared_error() { return {}; }

}  // namespace filigree
