// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

// A schedule says by what the rate of an optimizer is multiplied in each step, counted from 0 as in PyTorch's LambdaLR:
// any f(step).

/// Rises in a straight line from 0 to 1 in `steps` steps, and stays there: min(step / steps, 1).
struct WarmUp {
  Index steps;
  double operator()(Index step) const {
    return step >= steps ? 1 : static_cast<double>(step) / static_cast<double>(steps);
  }
};
/// Rises in a straight line from 0 to 1 in `steps` steps and stays there.
///
/// Formula  min(step / steps, 1)
/// Throws  Error if steps < 1
inline WarmUp warm_up(Index steps) {
  detail::require(steps >= 1, "warm_up(steps): steps must be at least 1, got ", steps);
  return {.steps = steps};
}

/// Falls from 1 to 0 in `steps` steps along half a cosine, after `warm` of them in which it rises from 0:
/// step / warm, then (1 + cos(pi (step - warm) / (steps - warm))) / 2. The first step without a warm-up has 1.
struct Cosine {
  Index steps, warm;
  double operator()(Index step) const {
    if (step < warm) return static_cast<double>(step) / static_cast<double>(warm);
    const double share = static_cast<double>(step - warm) / static_cast<double>((std::max)(steps - warm, Index{1}));
    return (1 + std::cos(std::numbers::pi * (std::min)(share, 1.0))) / 2;
  }
};
/// Falls from 1 to 0 in `steps` steps along half a cosine, after `warm` steps in which it rises from 0. The first step
/// without a warm-up has 1.
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
