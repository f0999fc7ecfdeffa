// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/io/array.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/file_kind.hpp"
#include "filigree/io/number.hpp"

namespace filigree {

/// The options of CSV files.
struct csv {
  char separator = ',';
  Index skip_rows = 0;  // the number of lines to skip before the first row
};

namespace detail {

template <class T>
concept TableScalar = std::is_arithmetic_v<T> && !std::same_as<T, bool> && !std::same_as<T, char>;
template <class M>
concept TableMatrix = PlainDense<M> && TableScalar<typename M::Scalar>;

/// Throws an Error if the options are invalid.
inline void check(const csv& options) {
  const char c = options.separator;
  const bool digit = (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == '\n' || c == '\r' || c == '"';
  require(!digit && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z'), "csv{separator}: must not occur in a number, is ", c);
  require(options.skip_rows >= 0, "csv{skip_rows}: must be at least 0, got ", options.skip_rows);
}

/// Returns the text without leading and trailing whitespace.
inline std::string_view trim(std::string_view text) {
  const std::size_t begin = (std::min)(text.find_first_not_of(" \t\r"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

}  // namespace detail

/// Returns the matrix in the text of a table. Each line is a row of numbers with a decimal point, divided by the
/// separator. Spaces and tabs around numbers, a byte order mark and blank lines at the end are ignored. A text without
/// rows becomes a matrix without rows.
///
/// Throws     Error that names line and column if a cell is not a number or is out of the range of the scalar type, or
///            if a row has more or fewer numbers than the first row. Quotes are not supported
template <detail::TableMatrix M>
M parse_csv(const Bytes& bytes, const std::string& name, csv options = {}) {
  using S = typename M::Scalar;
  detail::check(options);
  if (bytes.size() > 0 && options.skip_rows == 0) detail::require_format(bytes, name, "a text file of numbers");
  std::string_view text = bytes.text();
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  // Blank lines at the end are ignored. If the separator is whitespace, a line of one separator is a row of empty
  // cells.
  const bool is_blank = options.separator == ' ' || options.separator == '\t';
  const std::size_t last = text.find_last_not_of(is_blank ? "\r\n" : " \t\r\n");
  text = text.substr(0, last == text.npos ? 0 : text.find('\n', last));

  std::vector<S> numbers;
  Index rows = 0, cols = 0;
  for (Index line = 1; !text.empty(); ++line) {
    std::string_view row = text.substr(0, text.find('\n'));
    text.remove_prefix((std::min)(row.size() + 1, text.size()));
    if (line <= options.skip_rows) continue;
    Index col = 0;
    for (bool more = true; more; ++col) {
      const std::size_t size = (std::min)(row.find(options.separator), row.size());
      const std::string_view cell = detail::trim(row.substr(0, size));
      more = size < row.size();
      row.remove_prefix(more ? size + 1 : size);

      S number{};
      // from_chars does not accept a plus sign. It is skipped here, except before another sign or nan.
      const bool plus = cell.starts_with('+') && cell.find_first_of("+-nN", 1) != 1;
      const detail::NumberStatus status = detail::parse_number(plus ? cell.substr(1) : cell, number);
      const auto fail = [&, &cell = cell](const char* what) {
        detail::fail(name, ": line ", line, ", column ", col + 1, ": must be ", what, ", got ",
                     detail::in_quotes(cell));
      };
      if (status == detail::NumberStatus::too_large) fail("within the range of the matrix's scalar");
      if (status == detail::NumberStatus::invalid) fail(std::is_integral_v<S> ? "a whole number" : "a number");
      numbers.push_back(number);
    }
    if (rows == 0) cols = col;
    detail::require(col == cols, name, ": line ", line, ": must have ", cols, " numbers as the first row, has ", col);
    ++rows;
  }

  const Bytes content(std::as_bytes(std::span(numbers)));
  return NdArray{.type = detail::type_of<S>(), .shape = {rows, cols}, .bytes = content, .name = name}.as<M>();
}

/// Reads a table: load_csv<Eigen::MatrixXd>("digits.csv", {.skip_rows = 1}).
///
/// Throws     Error if the file cannot be read, and for the reasons of parse_csv
template <detail::TableMatrix M>
M load_csv(const std::string& path, csv options = {}) {
  return parse_csv<M>(read_file(path), path, options);
}

/// Writes a table. Each number has the fewest digits that parse as the same value.
///
/// Throws     Error if the separator may occur in a number, and for the reasons of write_file
template <DenseExpression E>
  requires detail::TableScalar<typename E::Scalar>
void save_csv(const std::string& path, const E& x, csv options = {}) {
  detail::check(options);
  detail::require(options.skip_rows == 0, "save_csv(path, x, options): skip_rows must be 0, got ", options.skip_rows);
  const auto& values = x.eval();
  std::string text;
  char digits[64];
  for (Index i = 0; i < values.rows(); ++i) {
    for (Index j = 0; j < values.cols(); ++j) {
      if (j > 0) text += options.separator;
      text.append(digits, std::to_chars(digits, digits + sizeof digits, values(i, j)).ptr);
    }
    text += '\n';
  }
  write_file(path, Bytes::copy(text));
}

}  // namespace filigree
