// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// The exception of every failed check. Its message names the argument, the requirement and the actual value.
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

namespace detail {

/// One part of a message: a string, a bool, a character or a number.
///
/// Edge case  a floating-point number has the fewest digits that parse as the same value, and no exponent if its
///            magnitude is from 1e-4 to below 1e15
class MessagePart {
 public:
  constexpr MessagePart(const char* text) noexcept : MessagePart(std::string_view(text)) {}
  constexpr MessagePart(std::string_view text) noexcept : kind_(Kind::text), text_(text) {}
  constexpr MessagePart(const std::string& text) noexcept : MessagePart(std::string_view(text)) {}
  constexpr MessagePart(bool value) noexcept : MessagePart(value ? "true" : "false") {}
  MessagePart(const void*) = delete;  // a pointer must not convert to bool
  constexpr MessagePart(char value) noexcept : kind_(Kind::character), character_(value) {}
  template <std::signed_integral T>
  constexpr MessagePart(T value) noexcept : kind_(Kind::integer), integer_(value) {}
  template <std::unsigned_integral T>
  constexpr MessagePart(T value) noexcept : kind_(Kind::natural), natural_(value) {}
  constexpr MessagePart(float value) noexcept : kind_(Kind::single), single_(value) {}
  constexpr MessagePart(double value) noexcept : kind_(Kind::real), real_(value) {}
  constexpr MessagePart(long double value) noexcept : kind_(Kind::long_real), long_real_(value) {}

  void append_to(std::string& message) const {
    switch (kind_) {
      case Kind::text: message += text_; break;
      case Kind::character: message += character_; break;
      case Kind::integer: print(message, "%lld", integer_); break;
      case Kind::natural: print(message, "%llu", natural_); break;
      case Kind::single: append(message, single_); break;
      case Kind::real: append(message, real_); break;
      case Kind::long_real: append(message, long_real_); break;
    }
  }

 private:
  enum class Kind : unsigned char { text, character, integer, natural, single, real, long_real };

  template <class T>
  static void print(std::string& message, const char* format, T value) {
    char digits[24];
    message.append(digits, static_cast<std::size_t>(std::snprintf(digits, sizeof digits, format, value)));
  }
  template <std::floating_point T>
  static void append(std::string& message, T value) {
    const T size = value < 0 ? -value : value;
    const bool plain = size == 0 || (size >= T(1e-4) && size < T(1e15));
    char digits[48];  // the shortest form of a 128-bit long double has at most 45 characters
    if (value != value)
      message += "nan";  // to_chars would print the sign of a NaN
    else
      message.append(digits, std::to_chars(digits, digits + sizeof digits, value,
                                           plain ? std::chars_format::fixed : std::chars_format::scientific)
                                 .ptr);
  }

  Kind kind_;
  union {
    std::string_view text_;
    char character_;
    long long integer_;
    unsigned long long natural_;
    float single_;
    double real_;
    long double long_real_;
  };
};

/// Throws an Error that consists of "filigree: " and the parts.
[[noreturn, gnu::cold, gnu::noinline]] inline void fail_parts(std::initializer_list<MessagePart> parts) {
  std::string message = "filigree: ";
  for (const MessagePart& part : parts) part.append_to(message);
  throw Error(message);
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  fail_parts({MessagePart(parts)...});
}

/// Throws an Error that consists of "filigree: " and the parts, unless ok.
///
/// There is one overload for each number of parts up to eight, since a template would be instantiated for each length
/// of a string literal.
///
/// Cost  one branch; the message is formatted out of line, only on failure
constexpr void require(bool ok, const MessagePart& a) {
  if (!ok) [[unlikely]]
    fail_parts({a});
}
constexpr void require(bool ok, const MessagePart& a, const MessagePart& b) {
  if (!ok) [[unlikely]]
    fail_parts({a, b});
}
constexpr void require(bool ok, const MessagePart& a, const MessagePart& b, const MessagePart& c) {
  if (!ok) [[unlikely]]
    fail_parts({a, b, c});
}
constexpr void require(bool ok, const MessagePart& a, const MessagePart& b, const MessagePart& c,
                       const MessagePart& d) {
  if (!ok) [[unlikely]]
    fail_parts({a, b, c, d});
}
constexpr void require(bool ok, const MessagePart& a, const MessagePart& b, const MessagePart& c, const MessagePart& d,
                       const MessagePart& e) {
  if (!ok) [[unlikely]]
    fail_parts({a, b, c, d, e});
}
constexpr void require(bool ok, const MessagePart& a, const MessagePart& b, const MessagePart& c, const MessagePart& d,
                       const MessagePart& e, const MessagePart& f) {
  if (!ok) [[unlikely]]
    fail_parts({a, b, c, d, e, f});
}
constexpr void require(bool ok, const MessagePart& a, const MessagePart& b, const MessagePart& c, const MessagePart& d,
                       const MessagePart& e, const MessagePart& f, const MessagePart& g) {
  if (!ok) [[unlikely]]
    fail_parts({a, b, c, d, e, f, g});
}
constexpr void require(bool ok, const MessagePart& a, const MessagePart& b, const MessagePart& c, const MessagePart& d,
                       const MessagePart& e, const MessagePart& f, const MessagePart& g, const MessagePart& h) {
  if (!ok) [[unlikely]]
    fail_parts({a, b, c, d, e, f, g, h});
}
template <class... Parts>
  requires(sizeof...(Parts) > 8)
constexpr void require(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail_parts({MessagePart(parts)...});
}

/// Throws an Error unless the value is finite and in the range of S; softcap(1e300) throws for float.
template <class S>
void require_finite(double value, const char* name) {
  constexpr double largest = static_cast<double>((std::numeric_limits<S>::max)());
  require(-largest <= value && value <= largest, name, " must be finite", sizeof(S) == 4 ? " as a float" : "", ", got ",
          value);
}

/// Rounds a bound to S such that the same numbers of S exceed it. In float, 1e300 becomes the largest finite number,
/// which only infinity exceeds.
template <class S>
constexpr S round_bound(double value) {
  constexpr S largest = (std::numeric_limits<S>::max)();
  if (value > static_cast<double>(largest) && value <= (std::numeric_limits<double>::max)()) return largest;
  return static_cast<S>(value);
}

}  // namespace detail
}  // namespace filigree
