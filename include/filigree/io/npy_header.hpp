// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "filigree/io/array.hpp"
#include "filigree/io/cursor.hpp"

namespace filigree::detail {

/// The contents of the header of an .npy file.
struct NpyHeader {
  Type type = Type::float64;
  bool columns_first = false;  // Fortran order: the first dimension varies fastest
  std::vector<Index> shape;
  std::uint64_t begin = 0, size = 0;  // position and size of the numbers in bytes
};

/// A supported type and its name in NumPy, in little-endian order. NumPy has no bfloat16; ml_dtypes writes it as '<V2'.
struct NpyType {
  std::string_view name;
  Type type;
};
inline constexpr NpyType npy_types[] = {
    {"|b1", Type::boolean},  {"|i1", Type::int8},    {"<i2", Type::int16},   {"<i4", Type::int32},
    {"<i8", Type::int64},    {"|u1", Type::uint8},   {"<u2", Type::uint16},  {"<u4", Type::uint32},
    {"<u8", Type::uint64},   {"<f2", Type::float16}, {"<f4", Type::float32}, {"<f8", Type::float64},
    {"<V2", Type::bfloat16},
};

/// NumPy's one-letter type codes.
inline constexpr NpyType npy_codes[] = {
    {"?", Type::boolean}, {"b", Type::int8},      {"B", Type::uint8},
    {"h", Type::int16},   {"H", Type::uint16},    {"i", Type::int32},
    {"I", Type::uint32},  {"l", type_of<long>()}, {"L", type_of<unsigned long>()},
    {"q", Type::int64},   {"Q", Type::uint64},    {"e", Type::float16},
    {"f", Type::float32}, {"d", Type::float64},
};

/// Returns the type of a string that numpy.dtype accepts, if it is little-endian and supported: "<f4", "=f4", "f4", "f"
/// or "float32".
inline std::optional<Type> npy_type(std::string_view text) {
  for (const NpyType& known : npy_types)
    if (known.name == text) return known.type;
  const bool ordered = text.find_first_of("<>=|") == 0, big_endian = text.starts_with('>');
  const std::string_view name = text.substr(ordered ? 1 : 0);
  const auto matches = [&](const NpyType& known, std::string_view alias) {
    return alias == name && known.type != Type::bfloat16 && (!big_endian || bytes_each(known.type) == 1);
  };
  for (const NpyType& known : npy_types)
    if (matches(known, known.name.substr(1)) || (!ordered && matches(known, name_of(known.type)))) return known.type;
  for (const NpyType& known : npy_codes)
    if (matches(known, known.name)) return known.type;
  return std::nullopt;
}

/// A parser of the dictionary in an .npy header: a Python literal with exactly the keys 'descr', 'fortran_order' and
/// 'shape', in any order.
class NpyDictionary {
 public:
  /// The text begins at byte `begin` of the file.
  NpyDictionary(std::string_view text, std::size_t begin, std::string_view name)
      : text_(text), begin_(begin), name_(name) {}

  NpyHeader parse() {
    NpyHeader header;
    bool typed = false, ordered = false, shaped = false;
    std::size_t key_at = 0;
    const auto once = [&](bool& seen, std::string_view key) {
      if (std::exchange(seen, true)) fail_at(key_at, "key '", key, "' occurs twice");
    };
    expect('{');
    while (!take('}')) {
      skip_spaces();
      key_at = at_;
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        once(typed, key);
        header.type = type();
      } else if (key == "fortran_order") {
        once(ordered, key);
        header.columns_first = truth();
      } else if (key == "shape") {
        once(shaped, key);
        header.shape = tuple();
      } else {
        fail_at(key_at, "a key must be 'descr', 'fortran_order' or 'shape', got ", in_quotes(key));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    require(typed && ordered && shaped, "the header must have 'descr', 'fortran_order' and 'shape', lacks '",
            !typed     ? "descr"
            : !ordered ? "fortran_order"
                       : "shape",
            "'");
    skip_spaces();
    require(at_ == text_.size(), "only spaces and line ends may follow the dictionary");
    return header;
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail_at(std::size_t at, const Parts&... parts) const {
    detail::fail(name_, ": byte ", begin_ + at, ": ", parts...);
  }
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_at(at_, parts...);
  }
  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail(parts...);
  }

  void skip_spaces() { at_ = (std::min)(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  bool take(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail("must be '", c, "', got ", in_quotes(text_.substr(at_, 1)));
  }

  /// Parses a string without escapes, in single or double quotes.
  std::string_view string() {
    const char quote = take('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const std::size_t end = text_.find(quote, at_);
    require(end != std::string_view::npos, "a string has no end");
    const std::string_view result = text_.substr(at_, end - at_);
    at_ = end + 1;
    return result;
  }

  /// Parses the type.
  Type type() {
    if (take('[')) fail("'descr' must be one type, got a list: records are not supported");
    const std::size_t begin = at_;
    const std::string_view text = string();
    if (const std::optional<Type> known = npy_type(text)) return *known;
    at_ = begin;
    require(!text.starts_with('>'), "'descr' must be little-endian, got ", in_quotes(text), ": save a.astype(\"<",
            text.empty() ? text : text.substr(1), "\")");
    std::string names;
    for (const NpyType& known : npy_types) names += (names.empty() ? "" : ", ") + std::string(known.name);
    fail("'descr' must be one of ", names, ", got ", in_quotes(text));
  }

  /// Parses True or False.
  bool truth() {
    skip_spaces();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    fail("'fortran_order' must be True or False");
  }

  /// Parses (), (2,), (2, 3) or (2, 3,). In Python, (2) is a number.
  std::vector<Index> tuple() {
    std::vector<Index> sizes;
    bool comma = true;
    expect('(');
    while (!take(')')) {
      require(comma, "must be ',' or ')'");
      sizes.push_back(size());
      comma = take(',');
    }
    require(sizes.size() != 1 || comma, "'shape' must be a tuple, got a number");
    return sizes;
  }

  /// Parses one size of the shape.
  Index size() {
    skip_spaces();
    Index value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    require(error == std::errc() && *begin != '-', "a size must be a whole number below 2^63");
    require(*begin != '0' || end == begin + 1, "a size must not begin with 0");
    at_ += static_cast<std::size_t>(end - begin);
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // an integer of type long in Python 2
    return value;
  }

  std::string_view text_;
  std::size_t begin_, at_ = 0;
  std::string_view name_;
};

/// Reads the header of the .npy file that begins at the cursor and has `total` bytes.
inline NpyHeader read_npy_header(Cursor cursor, std::uint64_t total) {
  const std::size_t start = cursor.at();
  cursor.require(cursor.take(6, "the signature").text() == "\x93NUMPY", "must begin with \\x93NUMPY");
  const auto version = cursor.number<std::uint8_t>("the version"),
             revision = cursor.number<std::uint8_t>("the version");
  cursor.require(version >= 1 && version <= 3 && revision == 0, "the version must be 1.0, 2.0 or 3.0, got ", version,
                 ".", revision);
  const std::string_view what = "the length of the header";
  const std::uint64_t length = version == 1 ? cursor.number<std::uint16_t>(what) : cursor.number<std::uint32_t>(what);
  const std::size_t text_at = cursor.at();
  const Bytes text = cursor.take(length, "the header");
  NpyHeader header = NpyDictionary(text.text(), text_at, cursor.name()).parse();

  Index bytes = 0;
  cursor.require(bytes_of(header.type, header.shape, bytes), "shape ", shape_text(header.shape), " is too large");
  header.begin = cursor.at() - start;
  header.size = static_cast<std::uint64_t>(bytes);
  cursor.require(total - header.begin == header.size, "the numbers of shape ", shape_text(header.shape), " need ",
                 header.size, " bytes, the file has ", total - header.begin);
  return header;
}

/// Returns the header as NumPy writes it. It is padded so that the numbers begin at a multiple of 64, and so that the
/// first size (the last one in Fortran order) can later grow to 20 digits.
inline std::string npy_header(Type type, const std::vector<Index>& shape, bool columns_first) {
  const auto known = std::find_if(std::begin(npy_types), std::end(npy_types), [&](auto x) { return x.type == type; });
  std::string text = "{'descr': '" + std::string(known->name) +
                     "', 'fortran_order': " + (columns_first ? "True" : "False") + ", 'shape': " + shape_text(shape) +
                     ", }";
  if (!shape.empty()) text.append(21 - std::to_string(columns_first ? shape.back() : shape.front()).size(), ' ');

  const bool short_length = text.size() + 1 + 63 <= 0xFFFF;
  const std::size_t text_at = short_length ? 10 : 12;
  text.append(63 - (text_at + text.size()) % 64, ' ');
  text += '\n';
  std::string length;
  for (std::size_t i = 0; i < text_at - 8; ++i) length += static_cast<char>(text.size() >> (8 * i) & 0xFF);
  return std::string("\x93NUMPY") + (short_length ? '\1' : '\2') + '\0' + length + text;
}

}  // namespace filigree::detail
