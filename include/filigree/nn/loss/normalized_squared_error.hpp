// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/term.hpp"

namespace filigree {

/// A loss: the squared error relative to the variation of the targets.
struct NormalizedSquaredError {
  using Kind = Loss;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    const Index n = y.rows(), cols = y.cols();
    if (n == 0) return 0;
    const double* sums = detail::sum_columns(target, session, [](S x) { return x; });
    const double variation = detail::sum_over_rows(n, session, [&](Index i) {
      double sum = 0;
      for (Index j = 0; j < cols; ++j) {
        const double r = static_cast<double>(target(i, j)) - sums[j] / static_cast<double>(n);
        sum += r * r;
      }
      return sum;
    });
    bool all_equal = true;
    for (Index i = 1; i < n && all_equal; ++i) all_equal = target.row(i) == target.row(0);
    detail::require(!all_equal, "normalized_squared_error(): the targets of a batch must differ, and these ", n,
                    " are all equal");
    const double scale = factor / variation;
    return scale * detail::sum_over_rows(n, session, [&](Index i) {
             double sum = 0;
             for (Index j = 0; j < cols; ++j) {
               const double r = static_cast<double>(y(i, j)) - static_cast<double>(target(i, j));
               sum += r * r;
               if (gradient != nullptr) gradient[i * cols + j] += static_cast<S>(2 * scale * r);
             }
             return sum;
           });
  }
};

/// Measures the squared error relative to the error of predicting the batch mean, which has loss 1.
///
/// Formula    Σ ‖y − t‖² / Σ ‖t − mean t‖²
/// Throws     Error if the targets of a batch are all equal
/// Reference  Gao et al., arXiv:2406.04093, section 2.1
inline NormalizedSquaredError normalized_squared_error() { return {}; }

}  // namespace filigree
