// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/term.hpp"

namespace filigree {

/// What squared_error() returns.
struct SquaredError {
  using Kind = Loss;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    return go<true>(y, target, factor, gradient, session);
  }
  /// The same, whose gradient takes the place of what is there.
  template <Real S>
  double set(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    return go<false>(y, target, factor, gradient, session);
  }

 private:
  template <bool adds, Real S>
  static double go(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
                   const detail::Session& session) {
    if (y.rows() == 0) return 0;
    const double share = factor / static_cast<double>(y.rows());
    return share * detail::sum_over_rows(y.rows(), session, [&](Index i) {
             double sums[4] = {};  // the latency of an addition for each number would be most of the time
             for (Index j = 0; j < y.cols(); ++j) {
               const double r = static_cast<double>(y(i, j)) - static_cast<double>(target(i, j));
               sums[j % 4] += r * r;
               if (gradient == nullptr) continue;
               S& slope = gradient[i * y.cols() + j];
               slope = (adds ? slope : S(0)) + static_cast<S>(2 * share * r);
             }
             return (sums[0] + sums[1]) + (sums[2] + sums[3]);
           });
  }
};

/// The squared distance of outputs and targets: mean over samples of sum_j (y_j - t_j)^2.
inline SquaredError squared_error() { return {}; }

}  // namespace filigree
