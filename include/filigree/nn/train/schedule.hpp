// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

// A schedule is any function f(step). It returns the factor of the optimizer's rate in each step, counted from 0 as in
// PyTorch's LambdaLR.

/// A schedule that rises linearly from 0 to 1.
struct WarmUp {
  Index steps;
  double operator()(Index step) const {
    return step >= steps ? 1 : static_cast<double>(step) / static_cast<double>(steps);
  }
};
/// Rises linearly from 0 to 1 in `steps` steps, then stays at 1.
///
/// Formula  min(step / steps, 1)
/// Throws   Error if steps < 1
inline WarmUp warm_up(Index steps) {
  detail::require(steps >= 1, "warm_up(steps): steps must be at least 1, got ", steps);
  return {.steps = steps};
}

/// A schedule that falls from 1 to 0 along half a cosine, after a linear warm-up.
struct Cosine {
  Index steps, warm;
  double operator()(Index step) const {
    if (step < warm) return static_cast<double>(step) / static_cast<double>(warm);
    const double fraction = static_cast<double>(step - warm) / static_cast<double>((std::max)(steps - warm, Index{1}));
    return (1 + std::cos(std::numbers::pi * (std::min)(fraction, 1.0))) / 2;
  }
};
/// Rises linearly from 0 to 1 in `warm` steps, then falls to 0 along half a cosine until step `steps`. Without a
/// warm-up it starts at 1.
///
/// Formula    step / warm, then (1 + cos(π (step − warm) / (steps − warm))) / 2
/// Throws     Error unless 0 <= warm < steps
/// Reference  Loshchilov and Hutter, arXiv:1608.03983, equation 5, one period
inline Cosine cosine(Index steps, Index warm = 0) {
  detail::require(steps >= 1, "cosine(steps, warm): steps must be at least 1, got ", steps);
  detail::require(warm >= 0 && warm < steps, "cosine(steps, warm): warm must be from 0 to ", steps - 1, ", got ", warm);
  return {.steps = steps, .warm = warm};
}

}  // namespace filigree
