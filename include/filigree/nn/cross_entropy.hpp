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
  bool counts;  // targets are counts and not probabilities

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
               detail::require(!(target(i, j) < 0), name(), ": a target must be at least 0; that of output ", j, " is ",
                               static_cast<double>(target(i, j)));
               targets += static_cast<double>(target(i, j));
               if (target(i, j) != 0) products += static_cast<double>(target(i, j)) * s;
             }
             detail::require(counts || !(std::abs(targets - 1) > 1e-3), name(),
                             ": the targets of a sample must be probabilities, whose sum is 1; it is ", targets,
                             ". multinomial() takes counts");
             for (Index j = 0; j < cols && gradient != nullptr; ++j) {
               const double p = std::exp(static_cast<double>(y(i, j)) - top) / exps;
               gradient[i * cols + j] += static_cast<S>(share * (targets * p - static_cast<double>(target(i, j))));
             }
             return targets * std::log(exps) - products;
           });
  }

 private:
  [[nodiscard]] const char* name() const { return counts ? "multinomial()" : "cross_entropy()"; }
};

/// The cross entropy of targets t, which are probabilities of classes, and the softmax of the outputs y: mean over
/// samples of -sum_j t_j ln softmax(y)_j.
///
/// Throws     Error in training, if a target is below 0, or those of a sample do not add up to 1 within 0.001
inline CrossEntropy cross_entropy() { return {.counts = false}; }

/// The same where targets are counts, such as of words or clicks: minus the log-likelihood of a multinomial
/// distribution, without the term that only depends on the counts.
///
/// Throws     Error in training, if a target is below 0
/// Reference  Liang et al., arXiv:1802.05814, equation 2
inline CrossEntropy multinomial() { return {.counts = true}; }

}  // namespace filigree
