// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/io/bytes.hpp"

namespace filigree::detail {

// Every format of this folder is little-endian, and numbers are copied as they are.
static_assert(std::endian::native == std::endian::little, "filigree reads and writes files on little-endian machines");

/// Text of an unknown file as a message shows it: in quotes, printable, not long.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t most = 60;
  std::string result = "\"";
  for (const char c : text.substr(0, most)) {
    const auto code = static_cast<unsigned char>(c);
    result += code < 32 || code == 127 ? '?' : c;
  }
  return result + (text.size() > most ? "...\"" : "\"");
}

/// A product of sizes, or false where it does not fit T.
template <std::integral T>
bool multiplied(T a, T b, T& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

/// A place in the bytes of a file; what it cannot read there is an Error that names the file and the place.
class Cursor {
 public:
  Cursor(Bytes bytes, std::string_view name, std::size_t at = 0) : bytes_(std::move(bytes)), name_(name), at_(at) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  [[nodiscard]] std::string_view name() const { return name_; }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    detail::fail(name_, ": byte ", at_, ": ", parts...);
  }
  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail(parts...);
  }

  /// The next bytes; `what` says in a message what they are.
  Bytes take(std::uint64_t count, std::string_view what) {
    require(count <= left(), what, " needs ", count, " bytes, ", left(), " are left");
    Bytes result = bytes_.slice(at_, static_cast<std::size_t>(count));
    at_ += result.size();
    return result;
  }

  template <std::unsigned_integral T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  /// The number that must stand here.
  template <std::unsigned_integral T>
  void expect(T expected, std::string_view what) {
    const std::size_t before = at_;
    const T got = number<T>(what);
    if (got != expected) Cursor(bytes_, name_, before).fail(what, " must be ", expected, ", got ", got);
  }

 private:
  Bytes bytes_;
  std::string_view name_;
  std::size_t at_;
};

}  // namespace filigree::detail
