// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty: the sum of the norms of groups of latents.
struct GroupLasso {
  using Kind = Penalty;
  Index size;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S* gradient, const detail::Session& session) const {
    if (a.rows() == 0) return 0;
    const double scale = factor / static_cast<double>(a.rows());
    return scale * detail::sum_over_rows(a.rows(), session, [&](Index i) {
             double sum = 0;
             for (Index g = 0; g < a.cols(); g += size) {
               const Index end = (std::min)(g + size, a.cols());
               double squares = 0;
               for (Index j = g; j < end; ++j) squares += static_cast<double>(a(i, j)) * static_cast<double>(a(i, j));
               const double norm = std::sqrt(squares);
               sum += norm;
               for (Index j = g; j < end && gradient != nullptr && norm > 0; ++j)
                 gradient[i * a.cols() + j] += static_cast<S>(scale * static_cast<double>(a(i, j)) / norm);
             }
             return sum;
           });
  }
};

/// Penalizes the norms of groups of `size` consecutive latents.
///
/// Formula    mean of Σ over groups of √(Σ a_j²)
/// Edge case  the last group may be smaller; the derivative at a group of zeros is 0
/// Throws     Error if size < 1
/// Reference  Yuan and Lin, J. R. Stat. Soc. B 68, 2006
inline GroupLasso group_lasso(Index size) {
  detail::require(size >= 1, "group_lasso(size): size must be at least 1, got ", size);
  return {.size = size};
}

}  // namespace filigree
