// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

/// A linear mapping of numbers to gray levels. The numbers `black` and `white` become black and white, and numbers
/// outside of this range are clamped. `black` may be above `white`.
struct gray {
  double black = 0, white = 1;
};

namespace detail {

/// A function from numbers to gray levels, from 0 (black) to `levels` (white).
class GrayLevels {
 public:
  GrayLevels(gray range, int levels, const char* call) : range_(range), levels_(levels), call_(call) {
    require(std::isfinite(range.black) && std::isfinite(range.white) && range.black != range.white, call,
            ": black and white must be two finite numbers, got ", range.black, " and ", range.white);
  }

  template <class S>
  int operator()(S number, Index i, Index j) const {
    const auto x = static_cast<double>(number);
    require(x == x, call_, ": x(", i, ", ", j, ") must be a number, is nan");
    // Halved, since the difference of two large numbers may overflow.
    const double fraction = (x / 2 - range_.black / 2) / (range_.white / 2 - range_.black / 2);
    return static_cast<int>(std::floor((std::clamp)(fraction, 0.0, 1.0) * levels_ + 0.5));
  }

 private:
  gray range_;
  int levels_;
  const char* call_;
};

}  // namespace detail
}  // namespace filigree
