// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

// A schedule of pruning is any function f(step). It returns which part of the way from the initial to the final
// fraction of pruned weights is reached after a number of steps: from 0 to 1.

/// A schedule of pruning that rises fast at first, and slower as fewer weights remain.
struct Cubic {
  Index begin, end;
  double operator()(Index step) const {
    const double rest = 1 - static_cast<double>(step - begin) / static_cast<double>(end - begin);
    const double clamped = std::clamp(rest, 0.0, 1.0);
    return 1 - clamped * clamped * clamped;
  }
};
/// Prunes gradually from step `begin` to step `end`.
///
/// Formula    1 − (1 − (step − begin) / (end − begin))³, 0 before and 1 after
/// Throws     Error unless 0 <= begin < end
/// Reference  Zhu and Gupta, arXiv:1710.01878, equation 1
inline Cubic cubic(Index begin, Index end) {
  detail::require(begin >= 0 && begin < end, "cubic(begin, end): begin must be at least 0 and below end, got ", begin,
                  " and ", end);
  return {.begin = begin, .end = end};
}

/// A schedule of pruning that prunes everything in one step.
struct OneShot {
  Index at;
  double operator()(Index step) const { return step >= at ? 1 : 0; }
};
/// Prunes once, after step `at`.
///
/// Formula  1 if step ≥ at, else 0
/// Throws   Error if at < 1
inline OneShot one_shot(Index at) {
  detail::require(at >= 1, "one_shot(at): at must be at least 1, got ", at);
  return {.at = at};
}

}  // namespace filigree
