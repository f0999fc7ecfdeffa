// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
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

/// A place in the header of a PGM file, or in the numbers of a plain one.
class PgmCursor {
 public:
  PgmCursor(std::string_view text, std::size_t at, std::string_view name) : text_(text), at_(at), name_(name) {}

  [[nodiscard]] std::size_t at() const { return at_; }

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    detail::require(ok, name_, ": byte ", at_, ": ", parts...);
  }

  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

  /// Blanks, of which there must be some; comments from # to the end of the line may stand among them.
  void skip_blanks(bool with_comments) {
    const std::size_t before = at_;
    while (at_ < text_.size() && (is_blank(text_[at_]) || (with_comments && text_[at_] == '#')))
      at_ = text_[at_] == '#' ? (std::min)(text_.find('\n', at_), text_.size()) : at_ + 1;
    require(at_ > before, "must be a blank");
  }

  int number(int least, int most, const char* what) {
    int value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    require(error == std::errc() && value >= least && value <= most, what, " must be a whole number from ", least,
            " to ", most);
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }

  /// One blank, or the end.
  void end_of_number() { require(at_ == text_.size() || is_blank(text_[at_]), "must be a blank"); }

 private:
  std::string_view text_;
  std::size_t at_;
  std::string_view name_;
};

}  // namespace detail

/// Returns a picture from the bytes of a PGM file, binary (P5) or plain (P2), of 8 or 16 bits; a row of the matrix is a
/// row of pixels. A matrix of floating point gets shares of white, from 0 to 1; a matrix of integers gets the levels
/// themselves.
///
/// Throws     Error that names the byte if the header is another one, a level is above its largest or does not fit the
///            scalar, or the file is longer or shorter than its pixels
/// Reference  Netpbm, pgm(5)
template <detail::PlainDense M>
M parse_pgm(const Bytes& bytes, const std::string& name) {
  using S = typename M::Scalar;
  const std::string_view text = bytes.text();
  const bool plain = text.starts_with("P2");
  if (bytes.size() > 0 && !text.starts_with('P')) detail::refuse_other_kind(bytes, name, "a PGM picture");
  detail::require(plain || text.starts_with("P5"), name, ": byte 0: must begin with P5 or P2");
  constexpr int longest = 1 << 24, largest = 65535;
  detail::PgmCursor cursor(text, 2, name);
  const auto next = [&](int most, const char* what) {
    cursor.skip_blanks(true);
    return cursor.number(1, most, what);
  };
  const int cols = next(longest, "the width"), rows = next(longest, "the height"),
            levels = next(largest, "the maximum");

  const bool wide = levels > 255;
  const std::size_t count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols), begin = cursor.at() + 1;
  cursor.end_of_number();
  cursor.require(text.size() >= begin, "must be a blank");
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
  M result = NdArray{.type = Type::uint16, .shape = {rows, cols}, .bytes = content, .name = name}.template as<M>();
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
/// Throws     Error if the file cannot be read, or as parse_pgm does
template <detail::PlainDense M>
M load_pgm(const std::string& path) {
  return parse_pgm<M>(read_file(path), path);
}

/// Writes a matrix as a binary PGM file of 8 bits, 0 as black and 1 as white unless `range` says otherwise.
///
/// Throws     Error if x has no entries or a NaN, black is white, or as write_file does
template <DenseExpression E>
void save_pgm(const std::string& path, const E& x, gray range = {}) {
  const detail::GreyLevels levels(range, 255, "save_pgm(path, x, range)");
  const auto& values = x.eval();
  detail::require(values.size() > 0, "save_pgm(path, x, range): x must have entries, is ", values.rows(), " x ",
                  values.cols());
  std::string text = "P5\n" + std::to_string(values.cols()) + " " + std::to_string(values.rows()) + "\n255\n";
  for (Index i = 0; i < values.rows(); ++i)
    for (Index j = 0; j < values.cols(); ++j) text += static_cast<char>(levels(values(i, j), i, j));
  write_file(path, Bytes::copy(text));
}

}  // namespace filigree
