// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty: the sum of the magnitudes.
struct L1 {
  using Kind = Penalty;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S* gradient, const detail::Session& session) const {
    if (a.rows() == 0) return 0;
    const double scale = factor / static_cast<double>(a.rows());
    if (gradient != nullptr)
      detail::for_each_rows(a.rows(), session, [&](Index first, Index last) {
        for (Index e = first * a.cols(); e < last * a.cols(); ++e)
          gradient[e] += static_cast<S>(a.data()[e] > 0 ? scale : a.data()[e] < 0 ? -scale : 0.0);
      });
    return scale * detail::sum_over_rows(a.rows(), session, [&](Index i) {
             double sum = 0;
             for (Index j = 0; j < a.cols(); ++j) sum += std::abs(static_cast<double>(a(i, j)));
             return sum;
           });
  }
};

/// Penalizes the sum of magnitudes, averaged over samples.
///
/// Formula    mean of Σ |a_j|
/// Edge case  the derivative at 0 is 0
/// Reference  Tibshirani, J. R. Stat. Soc. B 58, 1996
inline L1 l1() { return {}; }

}  // namespace filigree
