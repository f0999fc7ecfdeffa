// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/nn/term.hpp"

namespace filigree {

/// What hoyer_square() returns.
struct HoyerSquare {
  using Kind = Penalty;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S* gradient, const detail::Session& session) const {
    if (a.rows() == 0) return 0;
    const double share = factor / static_cast<double>(a.rows());
    return share * detail::sum_over_rows(a.rows(), session, [&](Index i) {
             double sum = 0, squares = 0;
             for (Index j = 0; j < a.cols(); ++j) {
               const auto x = static_cast<double>(a(i, j));
               sum += std::abs(x);
               squares += x * x;
             }
             if (squares == 0) return 0.0;
             const double ratio = sum / squares;
             for (Index j = 0; j < a.cols() && gradient != nullptr; ++j) {
               const auto x = static_cast<double>(a(i, j));
               const double sign = x > 0 ? 1 : x < 0 ? -1 : 0;
               gradient[i * a.cols() + j] += static_cast<S>(share * 2 * ratio * (sign - ratio * x));
             }
             return sum * ratio;
           });
  }
};

/// Penalizes the squared ratio of norms: 1 for one active latent, their number for equal ones.
///
/// Formula    mean of (Σ |a_j|)² / Σ a_j²
/// Edge case  a sample of zeros counts 0; the derivative of |a_j| at 0 is 0
/// Reference  Yang et al., arXiv:1908.09979, equation 3
inline HoyerSquare hoyer_square() { return {}; }

}  // namespace filigree
