// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <string>

#include "filigree/core/requirements.hpp"

namespace filigree::detail {

/// A number with some significant digits, at most 17, and a decimal point whatever the locale is.
inline std::string significant_digits(double x, int digits) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, x, std::chars_format::general, digits).ptr};
}

/// A number with three significant digits, and with all of those before the point.
inline std::string three_digits(double x) {
  char text[32];
  if (!(x >= 100 && x < 1e9)) return significant_digits(x, 3);
  return {text, std::to_chars(text, text + sizeof text, x, std::chars_format::fixed, 0).ptr};
}

/// A share of 1 in percent.
inline std::string percent(double share) { return three_digits(100 * share) + " %"; }

}  // namespace filigree::detail
