// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstddef>
#include <limits>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "filigree/core/float_environment.hpp"
#include "filigree/core/requirements.hpp"

namespace filigree::detail {

enum class NumberStatus { valid, invalid, too_large };

/// Whether a decimal number, which is not 0, is smaller than 1 in size: where its first digit that is not 0 stands,
/// and its exponent.
constexpr bool is_below_one(std::string_view text) {
  const std::size_t e = text.find_first_of("eE"), size = e < text.size() ? e : text.size();
  const std::size_t point = text.find('.') < size ? text.find('.') : size;
  const std::size_t digit = text.find_first_of("123456789");
  const long long place = static_cast<long long>(point) - static_cast<long long>(digit) - (digit < point ? 1 : 0);
  if (e == text.npos) return place < 0;
  const bool negative = text.substr(e + 1).starts_with('-');
  long long exponent = 0;
  for (const char c : text.substr(e + 1))
    if (c >= '0' && c <= '9' && exponent < (1LL << 50)) exponent = 10 * exponent + (c - '0');
  return place + (negative ? -exponent : exponent) < 0;
}

/// Reads the whole text as a number with a decimal point, whatever the locale and the rounding mode of the thread are.
/// A number that is too small for the type is rounded to 0.
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
