// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

namespace filigree::detail {

/// A number with three significant digits.
inline std::string three_digits(double x) {
  char text[32];
  const int size = std::snprintf(text, sizeof text, x >= 100 && x < 1e9 ? "%.0f" : "%.3g", x);
  return {text, static_cast<std::size_t>(size)};
}

/// A share of 1 in percent.
inline std::string percent(double share) { return three_digits(100 * share) + " %"; }

}  // namespace filigree::detail
