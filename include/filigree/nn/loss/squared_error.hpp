// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/term.hpp"

namespace filigree {

/// A loss: the squared distance of outputs and targets.
struct SquaredError {
  using Kind = Loss;
  static constexpr bool by_sample = true;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    return compute<true>(y, target, factor, gradient, session);
  }
  /// Computes the same value, but overwrites the gradient instead of adding to it.
  template <Real S>
  double set(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    return compute<false>(y, target, factor, gradient, session);
  }

 private:
  template <bool accumulate, Real S>
  static double compute(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
                        const detail::Session& session) {
    if (y.rows() == 0) return 0;
    const double scale = factor / static_cast<double>(y.rows());
    return scale * detail::sum_over_rows(y.rows(), session, [&](Index i) {
             const Index cols = y.cols(), unrolled = cols / 4 * 4;
             const S *outputs = y.data() + i * cols, *targets = target.data() + i * cols;
             S* gradients = gradient != nullptr ? gradient + i * cols : nullptr;
             double sums[4] = {};  // one sum would be limited by the latency of additions
             const auto add_entry = [&](Index j, Index l) {
               const double r = static_cast<double>(outputs[j + l]) - static_cast<double>(targets[j + l]);
               sums[l] += r * r;
               if (gradients == nullptr) return;
               gradients[j + l] = (accumulate ? gradients[j + l] : S(0)) + static_cast<S>(2 * scale * r);
             };
             for (Index j = 0; j < unrolled; j += 4)
               for (Index l = 0; l < 4; ++l) add_entry(j, l);
             for (Index l = 0; l < cols - unrolled; ++l) add_entry(unrolled, l);
             return (sums[0] + sums[1]) + (sums[2] + sums[3]);
           });
  }
};

/// Measures the squared distance of outputs and targets, averaged over samples.
///
/// Formula    mean of Σ (y_j − t_j)²
inline SquaredError squared_error() { return {}; }

}  // namespace filigree
