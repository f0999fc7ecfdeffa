// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <type_traits>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

/// What numbers mean as gray: `black` and what lies beyond it is black, `white` and beyond it white, in a straight line
/// between. black may be the larger one.
struct gray {
  double black = 0, white = 1;
};

namespace detail {

/// Turns numbers into levels of gray from 0 (black) to `levels` (white).
class GreyLevels {
 public:
  GreyLevels(gray range, int levels, const char* call) : range_(range), levels_(levels), call_(call) {
    require(std::isfinite(range.black) && std::isfinite(range.white) && range.black != range.white, call,
            ": black and white must be two finite numbers, got ", range.black, " and ", range.white);
  }

  template <class S>
  int operator()(S number, Index i, Index j) const {
    const auto x = static_cast<double>(number);
    require(x == x, call_, ": x(", i, ", ", j, ") must be a number, is nan");
    // Halves, as the difference of two large numbers may not fit.
    const double share = (x / 2 - range_.black / 2) / (range_.white / 2 - range_.black / 2);
    return static_cast<int>(std::floor((std::clamp)(share, 0.0, 1.0) * levels_ + 0.5));
  }

 private:
  gray range_;
  int levels_;
  const char* call_;
};

}  // namespace detail
}  // namespace filigree
