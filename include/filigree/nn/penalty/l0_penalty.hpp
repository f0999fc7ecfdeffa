// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/term.hpp"

namespace filigree {

/// A penalty: the number of nonzero latents.
struct L0 {
  using Kind = Penalty;

  template <Real S>
  double add(const detail::ConstRows<S>& a, double factor, S*, const detail::Session& session) const {
    if (a.rows() == 0) return 0;
    return factor / static_cast<double>(a.rows()) * detail::sum_over_rows(a.rows(), session, [&](Index i) {
             Index active = 0;
             for (Index j = 0; j < a.cols(); ++j) active += a(i, j) != 0 ? 1 : 0;
             return static_cast<double>(active);
           });
  }
};

/// Penalizes the number of nonzero latents, averaged over samples.
///
/// Its derivative is 0 wherever it exists. A jump_relu() right before this penalty gets a straight-through derivative
/// for its thresholds, see jump_relu().
/// Formula    mean of Σ [a_j ≠ 0]
/// Reference  Rajamanoharan et al., arXiv:2407.14435, equations 9 and 12
inline L0 l0() { return {}; }

}  // namespace filigree
