// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <string>

#include "filigree/core/requirements.hpp"

namespace filigree::detail {

/// Formats x with the given number of significant digits (at most 17). The decimal separator is a point in every
/// locale.
inline std::string significant_digits(double x, int digits) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, x, std::chars_format::general, digits).ptr};
}

/// Formats x with three significant digits, or with all digits of its integer part where these are more.
inline std::string three_digits(double x) {
  char text[32];
  if (!(x >= 100 && x < 1e9)) return significant_digits(x, 3);
  return {text, std::to_chars(text, text + sizeof text, x, std::chars_format::fixed, 0).ptr};
}

/// Formats a fraction as a percentage.
inline std::string percent(double fraction) { return three_digits(100 * fraction) + " %"; }

}  // namespace filigree::detail
