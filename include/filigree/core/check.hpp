// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace filigree {

/// What every failed check throws: an argument that cannot work, named, with what it got and what it needed.
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

namespace detail {

template <class T>
concept Number = std::is_arithmetic_v<T>;

/// One piece of a message: text, a truth value, a character or a number, held without allocating.
///
/// Edge case  a floating-point number is printed with the fewest digits that read back as the same value, without
///            an exponent from 1e-4 up to 1e15
class Part {
 public:
  Part(const char* text) noexcept : text_(text) {}
  Part(std::string_view text) noexcept : text_(text) {}
  Part(const std::string& text) noexcept : text_(text) {}

  template <Number T>
  Part(T value) noexcept {
    if constexpr (std::same_as<T, bool>) {
      text_ = value ? "true" : "false";
    } else if constexpr (std::same_as<T, char>) {
      digits_[0] = value;
      size_ = 1;
    } else if constexpr (std::floating_point<T>) {
      const T size = value < 0 ? -value : value;
      const bool plain = size == 0 || (size >= T(1e-4) && size < T(1e15));
      const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
      if (value != value)
        text_ = "nan";  // to_chars would print the sign of a NaN
      else
        end_at(std::to_chars(digits_, digits_ + sizeof digits_, value, format).ptr);
    } else {
      end_at(std::to_chars(digits_, digits_ + sizeof digits_, value).ptr);
    }
  }

  [[nodiscard]] std::string_view view() const noexcept { return size_ == 0 ? text_ : std::string_view(digits_, size_); }

 private:
  void end_at(const char* end) noexcept { size_ = static_cast<std::size_t>(end - digits_); }

  std::string_view text_;
  std::size_t size_ = 0;
  char digits_[48];  // the longest shortest-form long double of 128 bits takes 45
};

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_parts(std::span<const Part> parts) {
  std::string message = "filigree: ";
  for (const Part& part : parts) message += part.view();
  throw Error(message);
}

template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail(const Parts&... parts) {
  const Part list[] = {Part(parts)...};
  fail_parts(list);
}

/// Throws an Error that reads "filigree: " and then the parts, unless ok.
///
/// Cost  one branch; the message is put together out of line, and only on failure
template <class... Parts>
constexpr void require(bool ok, const Parts&... parts) {
  static_assert(sizeof...(Parts) > 0, "require(ok, parts...): say what went wrong");
  if (!ok) [[unlikely]]
    fail(parts...);
}

}  // namespace detail
}  // namespace filigree
