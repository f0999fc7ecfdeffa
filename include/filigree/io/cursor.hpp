// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/io/bytes.hpp"

namespace filigree::detail {

// All file formats here are little-endian, and their numbers are copied without conversion.
static_assert(std::endian::native == std::endian::little, "filigree reads and writes files on little-endian machines");

/// Formats text from a file for an error message: quoted, printable and truncated.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t max_size = 60;
  std::string result = "\"";
  for (const char c : text.substr(0, max_size)) {
    const auto code = static_cast<unsigned char>(c);
    result += code < 32 || code == 127 ? '?' : c;
  }
  return result + (text.size() > max_size ? "...\"" : "\"");
}

/// Computes a product of sizes. Returns false if it overflows T.
template <std::integral T>
bool checked_multiply(T a, T b, T& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

/// A reading position in the bytes of a file. An invalid read throws an Error that names the file and the position.
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

  /// Reads the next `count` bytes. Error messages call them `what`.
  Bytes take(std::uint64_t count, std::string_view what) {
    require(count <= left(), what, " needs ", count, " bytes, ", left(), " are left");
    Bytes result = bytes_.slice(at_, static_cast<std::size_t>(count));
    at_ += result.size();
    return result;
  }

  /// Reads a number.
  template <std::unsigned_integral T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  /// Reads a number, which must have the expected value.
  template <std::unsigned_integral T>
  void expect(T expected, std::string_view what) {
    const std::size_t begin = at_;
    const T got = number<T>(what);
    if (got != expected) Cursor(bytes_, name_, begin).fail(what, " must be ", expected, ", got ", got);
  }

 private:
  Bytes bytes_;
  std::string_view name_;
  std::size_t at_;
};

}  // namespace filigree::detail
