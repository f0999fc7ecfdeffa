// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

#include "filigree/core/requirements.hpp"

namespace filigree::detail {

/// Returns the position of the first invalid UTF-8 character, or npos. Surrogates and overlong forms are invalid.
///
/// Reference  RFC 3629, section 4
inline std::size_t invalid_utf8(std::string_view text) {
  struct Form {
    unsigned char first, last;      // range of the first byte
    unsigned char second, highest;  // range of the second byte
    std::size_t length;
  };
  static constexpr Form forms[] = {
      {0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
  };
  const auto within = [&](std::size_t i, unsigned char low, unsigned char high) {
    const auto byte = i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
    return low <= byte && byte <= high;
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = 0;
    for (const Form& form : forms)
      if (within(i, form.first, form.last) && (form.length == 1 || within(i + 1, form.second, form.highest)))
        length = form.length;
    for (std::size_t k = 2; k < length; ++k)
      if (!within(i + k, 0x80, 0xBF)) length = 0;
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

}  // namespace filigree::detail
