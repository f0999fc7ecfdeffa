// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "filigree/core/list.hpp"
#include "filigree/io/array.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/file_kind.hpp"
#include "filigree/io/npy_header.hpp"

namespace filigree {

namespace detail {

/// Whether C order and Fortran order differ: at least two dimensions above 1, and none of 0.
inline bool order_matters(const std::vector<Index>& shape) {
  const auto above = [&](Index least) {
    return std::count_if(shape.begin(), shape.end(), [=](Index n) { return n > least; });
  };
  return above(1) >= 2 && above(0) == std::ssize(shape);
}

/// The bytes of an array whose dimensions are reversed, as the transpose of a matrix: C order to Fortran order and
/// back.
inline Bytes with_dimensions_reversed(const Bytes& bytes, const std::vector<Index>& shape, std::size_t width) {
  if (!order_matters(shape)) return bytes;
  std::vector<std::size_t> steps(shape.size());  // how far a step in each dimension takes, in the result
  std::size_t step = width;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    steps[d] = step;
    step *= static_cast<std::size_t>(shape[d]);
  }
  return Bytes::filled(bytes.size(), [&](std::span<std::byte> to) {
    std::vector<Index> place(shape.size(), 0);
    std::size_t target = 0;
    for (std::size_t from = 0; from < bytes.size(); from += width) {
      std::memcpy(to.data() + target, bytes.data() + from, width);
      for (std::size_t d = shape.size(); d-- > 0;) {
        target += steps[d];
        if (++place[d] < shape[d]) break;
        target -= steps[d] * static_cast<std::size_t>(shape[d]);
        place[d] = 0;
      }
    }
  });
}

/// The pieces of an .npy file.
inline List<Bytes> npy_pieces(const NdArray& array, bool columns_first) {
  array.check();
  columns_first = columns_first && order_matters(array.shape);
  const Bytes numbers =
      columns_first ? with_dimensions_reversed(array.bytes, array.shape, bytes_each(array.type)) : array.bytes;
  return {Bytes::copy(npy_header(array.type, array.shape, columns_first)), numbers};
}

}  // namespace detail

/// Returns an array from the bytes of a file in NumPy's .npy format, versions 1.0 to 3.0; `name` is what messages call
/// it. In C order it shares the bytes, in Fortran order it is a reordered copy.
///
/// Throws     Error that names the byte if it is anything else than one array of a type that there is here, in
///            little-endian numbers, and nothing after it. Records and objects are not read
/// Reference  NumPy enhancement proposal 1; numpy.lib.format
inline NdArray parse_npy(const Bytes& bytes, const std::string& name) {
  if (bytes.size() > 0 && !bytes.text().starts_with("\x93NUMPY"))
    detail::refuse_other_kind(bytes, name, "an .npy file");
  const detail::NpyHeader header = detail::read_npy_header(detail::Cursor(bytes, name), bytes.size());
  const Bytes numbers = bytes.slice(static_cast<std::size_t>(header.begin), static_cast<std::size_t>(header.size));
  NdArray array{.type = header.type, .shape = header.shape, .bytes = numbers, .name = name};
  if (header.columns_first) {
    std::vector<Index> reversed = header.shape;
    std::reverse(reversed.begin(), reversed.end());
    array.bytes = detail::with_dimensions_reversed(numbers, reversed, bytes_each(header.type));
  }
  return array;
}

/// Reads an .npy file. parse_npy(map_file(path), path) maps it instead.
///
/// Throws     Error if the file cannot be read, or as parse_npy does
inline NdArray load_npy(const std::string& path) { return parse_npy(read_file(path), path); }

/// How save_npy lays the numbers out.
struct npy {
  bool columns_first = false;  // Fortran order, where that makes a difference
};

/// Writes an .npy file, byte for byte that of numpy.save. bfloat16 becomes the '<V2' of ml_dtypes, which NumPy reads as
/// two raw bytes: np.load(path).view(ml_dtypes.bfloat16).
///
/// Throws     Error if the array is inconsistent, or as write_file does
inline void save_npy(const std::string& path, const NdArray& array, npy options = {}) {
  const detail::List<Bytes> pieces = detail::npy_pieces(array, options.columns_first);
  write_file(path, {pieces.data(), static_cast<std::size_t>(pieces.size())});
}

/// The same for a dense Eigen expression.
template <DenseExpression E>
void save_npy(const std::string& path, const E& x, npy options = {}) {
  save_npy(path, array_of(x), options);
}

}  // namespace filigree
