// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty: the squared ratio of the L1 norm to the L2 norm.
struct HoyerSquare {
  using Kind = Penalty;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S* gradient, const detail::Session& session) const {
    if (a.rows() == 0) return 0;
    const double scale = factor / static_cast<double>(a.rows());
    return scale * detail::sum_over_rows(a.rows(), session, [&](Index i) {
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
               gradient[i * a.cols() + j] += static_cast<S>(scale * 2 * ratio * (sign - ratio * x));
             }
             return sum * ratio;
           });
  }
};

/// Penalizes the squared ratio of the L1 norm to the L2 norm: 1 for one nonzero latent, k for k equal latents.
///
/// Formula    mean of (Σ |a_j|)² / Σ a_j²
/// Edge case  a sample of zeros has penalty 0; the derivative of |a_j| at 0 is 0
/// Reference  Yang et al., arXiv:1908.09979, equation 3
inline HoyerSquare hoyer_square() { return {}; }

}  // namespace filigree
