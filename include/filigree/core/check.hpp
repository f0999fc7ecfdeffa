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

/// What every failed check throws: an argument that cannot work, named, with what it got and what it needed.
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

namespace detail {

/// One piece of a message: text, a truth value, a character or a number.
///
/// Edge case  a floating-point number is printed with the fewest digits that read back as the same value, without
///            an exponent from 1e-4 up to 1e15
class MessagePart {
 public:
  constexpr MessagePart(const char* text) noexcept : MessagePart(std::string_view(text)) {}
  constexpr MessagePart(std::string_view text) noexcept : kind_(Kind::text), text_(text) {}
  constexpr MessagePart(const std::string& text) noexcept : MessagePart(std::string_view(text)) {}
  constexpr MessagePart(bool value) noexcept : MessagePart(value ? "true" : "false") {}
  MessagePart(const void*) = delete;  // a pointer is no truth value
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
    char digits[48];  // the longest shortest-form long double of 128 bits takes 45
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

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_parts(std::initializer_list<MessagePart> parts) {
  std::string message = "filigree: ";
  for (const MessagePart& part : parts) part.append_to(message);
  throw Error(message);
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  fail_parts({MessagePart(parts)...});
}

/// Throws an Error that reads "filigree: " and then the parts, unless ok. A function for each number of parts up to
/// eight: a template would be instantiated for the length of each text.
///
/// Cost  one branch; the message is put together out of line, and only on failure
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

/// Throws an Error unless S holds the number, which must be finite: softcap(1e300) is none of float.
template <class S>
void require_finite(double value, const char* name) {
  constexpr double most = static_cast<double>((std::numeric_limits<S>::max)());
  require(-most <= value && value <= most, name, " must be finite", sizeof(S) == 4 ? " as a float" : "", ", got ",
          value);
}

/// A bound, rounded to S so that the numbers of S that exceed it are the same: infinity exceeds 1e300, and no other
/// float does.
template <class S>
constexpr S rounded_bound(double value) {
  constexpr S most = (std::numeric_limits<S>::max)();
  if (value > static_cast<double>(most) && value <= (std::numeric_limits<double>::max)()) return most;
  return static_cast<S>(value);
}

}  // namespace detail
}  // namespace filigree
