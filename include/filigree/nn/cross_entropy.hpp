// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/nn/term.hpp"

namespace filigree {

/// What cross_entropy() and multinomial() return.
struct CrossEntropy {
  using Kind = Loss;
  static constexpr bool by_sample = true;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>& target, double factor, S* gradient,
             const detail::Session& session) const {
    const Index n = y.rows(), cols = y.cols();
    if (n == 0 || cols == 0) return 0;
    const double share = factor / static_cast<double>(n);
    return share * detail::sum_over_rows(n, session, [&](Index i) {
             const auto top = static_cast<double>(y.row(i).template maxCoeff<Eigen::PropagateNaN>());
             double exps = 0, targets = 0, products = 0;
             for (Index j = 0; j < cols; ++j) {
               const double s = static_cast<double>(y(i, j)) - top;
               exps += std::exp(s);
               targets += static_cast<double>(target(i, j));
               if (target(i, j) != 0) products += static_cast<double>(target(i, j)) * s;
             }
             for (Index j = 0; j < cols && gradient != nullptr; ++j) {
               const double p = std::exp(static_cast<double>(y(i, j)) - top) / exps;
               gradient[i * cols + j] += static_cast<S>(share * (targets * p - static_cast<double>(target(i, j))));
             }
             return targets * std::log(exps) - products;
           });
  }
};

/// The cross entropy of targets t, which are probabilities of classes, and the softmax of the outputs y: mean over
/// samples of -sum_j t_j ln softmax(y)_j.
inline CrossEntropy cross_entropy() { return {}; }

/// The same where targets are counts, such as of words or clicks: minus the log-likelihood of a multinomial
/// distribution, without the term that only depends on the counts.
///
/// Reference  Liang et al., arXiv:1802.05814, equation 2
inline CrossEntropy multinomial() { return {}; }

}  // namespace filigree
