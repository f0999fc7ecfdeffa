// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty: the sum over latents of their squared mean magnitudes.
struct Flops {
  using Kind = Penalty;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S* gradient, const detail::Session& session) const {
    const Index n = a.rows(), cols = a.cols();
    if (n == 0) return 0;
    double* mean = detail::sum_columns(a, session, [](S x) { return std::abs(x); });
    double value = 0;
    for (Index j = 0; j < cols; ++j) {
      mean[j] /= static_cast<double>(n);
      value += mean[j] * mean[j];
      mean[j] *= 2 * factor / static_cast<double>(n);
    }
    if (gradient != nullptr)
      detail::for_each_rows(n, session, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i)
          for (Index j = 0; j < cols; ++j) {
            const S x = a(i, j);
            gradient[i * cols + j] += static_cast<S>(x > 0 ? mean[j] : x < 0 ? -mean[j] : 0.0);
          }
      });
    return factor * value;
  }
};

/// Penalizes the expected number of operations of an inverted index.
///
/// Formula    Σ (mean |a_j|)²
/// Edge case  the derivative of |a_j| at 0 is 0
/// Reference  Paria et al., arXiv:2004.05665, equation 4
inline Flops flops() { return {}; }

}  // namespace filigree
