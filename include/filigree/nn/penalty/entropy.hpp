// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty: the entropy of the magnitudes of a sample.
struct Entropy {
  using Kind = Penalty;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S* gradient, const detail::Session& session) const {
    if (a.rows() == 0) return 0;
    const double scale = factor / static_cast<double>(a.rows());
    return scale * detail::sum_over_rows(a.rows(), session, [&](Index i) {
             double sum = 0, logs = 0;
             for (Index j = 0; j < a.cols(); ++j) {
               const double size = std::abs(static_cast<double>(a(i, j)));
               sum += size;
               if (size > 0) logs += size * std::log(size);
             }
             if (sum == 0) return 0.0;
             const double value = std::log(sum) - logs / sum;
             for (Index j = 0; j < a.cols() && gradient != nullptr; ++j) {
               const auto x = static_cast<double>(a(i, j));
               if (x == 0) continue;
               const double dy = (std::log(sum) - std::log(std::abs(x)) - value) / sum;
               gradient[i * a.cols() + j] += static_cast<S>(scale * (x > 0 ? dy : -dy));
             }
             return value;
           });
  }
};

/// Penalizes the entropy of the normalized magnitudes of each sample.
///
/// Formula    mean of −Σ p_j ln p_j, p_j = |a_j| / Σ |a|
/// Edge case  a sample of zeros has entropy 0; the derivative at a latent of 0 is 0
/// Reference  Shannon, Bell System Technical Journal 27, 1948
inline Entropy entropy() { return {}; }

}  // namespace filigree
