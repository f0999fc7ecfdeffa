// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "filigree/io/array.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/file_kind.hpp"
#include "filigree/io/gray.hpp"

namespace filigree {

namespace detail {

/// A position in the header of a PGM file, or in the numbers of a plain PGM file.
class PgmCursor {
 public:
  PgmCursor(std::string_view text, std::size_t at, std::string_view name) : text_(text), at_(at), name_(name) {}

  [[nodiscard]] std::size_t at() const { return at_; }

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    detail::require(ok, name_, ": byte ", at_, ": ", parts...);
  }

  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

  /// Skips one or more whitespace characters. With comments, also skips text from # to the end of a line.
  void skip_blanks(bool with_comments) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_blank(text_[at_]) || (with_comments && text_[at_] == '#')))
      at_ = text_[at_] == '#' ? (std::min)(text_.find('\n', at_), text_.size()) : at_ + 1;
    require(at_ > begin, "must be whitespace");
  }

  /// Parses an integer in [low, high].
  int number(int low, int high, const char* what) {
    int value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    require(error == std::errc() && value >= low && value <= high, what, " must be a whole number from ", low, " to ",
            high);
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }

  /// Checks that whitespace or the end of the file follows.
  void end_of_number() { require(at_ == text_.size() || is_blank(text_[at_]), "must be whitespace"); }

 private:
  std::string_view text_;
  std::size_t at_;
  std::string_view name_;
};

}  // namespace detail

/// Returns the picture in the bytes of a PGM file, binary (P5) or plain (P2), with 8 or 16 bits. A row of the matrix is
/// a row of pixels. A floating-point matrix contains values from 0 (black) to 1 (white), an integer matrix the gray
/// levels.
///
/// Throws     Error that names the position if the header is invalid, if a level is above the maximum or out of the
///            range of the scalar type, or if the file is too long or too short for its pixels
/// Reference  Netpbm, pgm(5)
template <detail::PlainDense M>
M parse_pgm(const Bytes& bytes, const std::string& name) {
  using S = typename M::Scalar;
  const std::string_view text = bytes.text();
  const bool plain = text.starts_with("P2");
  if (bytes.size() > 0 && !text.starts_with('P')) detail::require_format(bytes, name, "a PGM picture");
  detail::require(plain || text.starts_with("P5"), name, ": byte 0: must begin with P5 or P2");
  constexpr int max_side = 1 << 24, max_level = 65535;
  detail::PgmCursor cursor(text, 2, name);
  const auto next = [&](int high, const char* what) {
    cursor.skip_blanks(true);
    return cursor.number(1, high, what);
  };
  const int cols = next(max_side, "the width"), rows = next(max_side, "the height"),
            levels = next(max_level, "the maximum");

  const bool wide = levels > 255;
  const std::size_t count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols), begin = cursor.at() + 1;
  cursor.end_of_number();
  cursor.require(text.size() >= begin, "must be whitespace");
  const std::size_t needed = plain ? 2 * count - 1 : wide ? 2 * count : count, has = text.size() - begin;
  cursor.require(plain ? has >= needed : has == needed, "the pixels need ", plain ? "at least " : "", needed,
                 " bytes, ", has, " are left");

  std::vector<std::uint16_t> pixels;
  pixels.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    int level = 0;
    if (plain) {
      cursor.skip_blanks(false);
      level = cursor.number(0, levels, "a level");
      cursor.end_of_number();
    } else {
      const auto byte = [&](std::size_t at) { return static_cast<int>(static_cast<unsigned char>(text[begin + at])); };
      level = wide ? 256 * byte(2 * i) + byte(2 * i + 1) : byte(i);
      detail::require(level <= levels, name, ": byte ", begin + (wide ? 2 * i : i), ": a level must be at most ",
                      levels, ", is ", level);
    }
    pixels.push_back(static_cast<std::uint16_t>(level));
  }
  if (plain && cursor.at() < text.size()) cursor.skip_blanks(false);
  cursor.require(!plain || cursor.at() == text.size(), "must end after ", count, " pixels");

  const Bytes content(std::as_bytes(std::span(pixels)));
  M result = NdArray{.type = Type::uint16, .shape = {rows, cols}, .bytes = content, .name = name}.as<M>();
  if constexpr (detail::Floating<S>) {
    using Wide = std::conditional_t<std::is_same_v<S, double>, double, float>;
    for (Index i = 0; i < result.rows(); ++i)
      for (Index j = 0; j < result.cols(); ++j)
        result(i, j) = static_cast<S>(static_cast<Wide>(result(i, j)) / static_cast<Wide>(levels));
  }
  return result;
}

/// Reads a PGM file.
///
/// Throws     Error if the file cannot be read, and for the reasons of parse_pgm
template <detail::PlainDense M>
M load_pgm(const std::string& path) {
  return parse_pgm<M>(read_file(path), path);
}

/// Writes a matrix as a binary 8-bit PGM file. By default, 0 is black and 1 is white.
///
/// Throws     Error if x is empty or has a NaN, if black equals white, and for the reasons of write_file
template <DenseExpression E>
void save_pgm(const std::string& path, const E& x, gray range = {}) {
  const detail::GrayLevels levels(range, 255, "save_pgm(path, x, range)");
  const auto& values = x.eval();
  detail::require(values.size() > 0, "save_pgm(path, x, range): x must have entries, is ", values.rows(), " x ",
                  values.cols());
  std::string text = "P5\n" + std::to_string(values.cols()) + " " + std::to_string(values.rows()) + "\n255\n";
  for (Index i = 0; i < values.rows(); ++i)
    for (Index j = 0; j < values.cols(); ++j) text += static_cast<char>(levels(values(i, j), i, j));
  write_file(path, Bytes::copy(text));
}

}  // namespace filigree
