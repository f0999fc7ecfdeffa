// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "filigree/core/float_environment.hpp"
#include "filigree/core/requirements.hpp"

namespace filigree::detail {

enum class NumberStatus { valid, invalid, too_large };

/// True if the magnitude of a nonzero decimal number is below 1, by its exponent and the position of its first nonzero
/// digit.
constexpr bool is_below_one(std::string_view text) {
  const std::size_t e = text.find_first_of("eE"), size = e < text.size() ? e : text.size();
  const std::size_t point = text.find('.') < size ? text.find('.') : size;
  const std::size_t digit = text.find_first_of("123456789");
  const long long position = static_cast<long long>(point) - static_cast<long long>(digit) - (digit < point ? 1 : 0);
  if (e == text.npos) return position < 0;
  const bool negative = text.substr(e + 1).starts_with('-');
  long long exponent = 0;
  for (const char c : text.substr(e + 1))
    if (c >= '0' && c <= '9' && exponent < (1LL << 50)) exponent = 10 * exponent + (c - '0');
  return position + (negative ? -exponent : exponent) < 0;
}

/// Parses the whole text as a number with a decimal point, independently of the locale and the rounding mode of the
/// thread. A number too small for the type becomes 0.
template <class T>
NumberStatus parse_number(std::string_view text, T& value) {
  const RoundToNearest rounding;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) return NumberStatus::invalid;
  if (error == std::errc()) return NumberStatus::valid;
  if constexpr (std::is_floating_point_v<T>)
    if (is_below_one(text)) {
      value = text.starts_with('-') ? T(-0.0) : T(0);
      return NumberStatus::valid;
    }
  return NumberStatus::too_large;
}

}  // namespace filigree::detail
