// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <span>
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

/// Returns true if C order and Fortran order differ: at least two dimensions are above 1, and none is 0.
inline bool order_matters(const std::vector<Index>& shape) {
  const auto above = [&](Index bound) {
    return std::count_if(shape.begin(), shape.end(), [=](Index n) { return n > bound; });
  };
  return above(1) >= 2 && above(0) == std::ssize(shape);
}

/// Returns the bytes of an array with its dimensions reversed, as the transpose of a matrix. This converts between C
/// order and Fortran order.
inline Bytes reverse_dimensions(const Bytes& bytes, const std::vector<Index>& shape, std::size_t width) {
  if (!order_matters(shape)) return bytes;
  std::vector<std::size_t> strides(shape.size());  // the stride of each dimension in the result
  std::size_t stride = width;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    strides[d] = stride;
    stride *= static_cast<std::size_t>(shape[d]);
  }
  return Bytes::filled(bytes.size(), [&](std::span<std::byte> to) {
    std::vector<Index> index(shape.size(), 0);
    std::size_t target = 0;
    for (std::size_t from = 0; from < bytes.size(); from += width) {
      std::memcpy(to.data() + target, bytes.data() + from, width);
      for (std::size_t d = shape.size(); d-- > 0;) {
        target += strides[d];
        if (++index[d] < shape[d]) break;
        target -= strides[d] * static_cast<std::size_t>(shape[d]);
        index[d] = 0;
      }
    }
  });
}

/// Returns an .npy file in two pieces: header and numbers.
inline List<Bytes> npy_pieces(const NdArray& array, bool columns_first) {
  array.check();
  columns_first = columns_first && order_matters(array.shape);
  const Bytes numbers =
      columns_first ? reverse_dimensions(array.bytes, array.shape, bytes_each(array.type)) : array.bytes;
  return {Bytes::copy(npy_header(array.type, array.shape, columns_first)), numbers};
}

}  // namespace detail

/// Returns the array in the bytes of a file in NumPy's .npy format, versions 1.0 to 3.0. Error messages name the file
/// `name`. An array in C order shares the bytes; an array in Fortran order is copied to C order.
///
/// Throws     Error that names the position unless the file is exactly one little-endian array of a supported type.
///            Records and objects are not supported
/// Reference  NumPy enhancement proposal 1; numpy.lib.format
inline NdArray parse_npy(const Bytes& bytes, const std::string& name) {
  if (bytes.size() > 0 && !bytes.text().starts_with("\x93NUMPY")) detail::require_format(bytes, name, "an .npy file");
  const detail::NpyHeader header = detail::read_npy_header(detail::Cursor(bytes, name), bytes.size());
  const Bytes numbers = bytes.slice(static_cast<std::size_t>(header.begin), static_cast<std::size_t>(header.size));
  NdArray array{.type = header.type, .shape = header.shape, .bytes = numbers, .name = name};
  if (header.columns_first) {
    std::vector<Index> reversed = header.shape;
    std::reverse(reversed.begin(), reversed.end());
    array.bytes = detail::reverse_dimensions(numbers, reversed, bytes_each(header.type));
  }
  return array;
}

/// Reads an .npy file. Use parse_npy(map_file(path), path) to map it instead.
///
/// Throws     Error if the file cannot be read, and for the reasons of parse_npy
inline NdArray load_npy(const std::string& path) { return parse_npy(read_file(path), path); }

/// The options of save_npy.
struct npy {
  bool columns_first = false;  // write in Fortran order, if it differs from C order
};

/// Writes an .npy file, with the same bytes as numpy.save. The type of bfloat16 is written as '<V2', as by ml_dtypes.
/// NumPy reads it as two raw bytes: use np.load(path).view(ml_dtypes.bfloat16).
///
/// Throws     Error if the array is inconsistent, and for the reasons of write_file
inline void save_npy(const std::string& path, const NdArray& array, npy options = {}) {
  const detail::List<Bytes> pieces = detail::npy_pieces(array, options.columns_first);
  write_file(path, {pieces.data(), static_cast<std::size_t>(pieces.size())});
}

/// Writes a dense Eigen expression to an .npy file.
template <DenseExpression E>
void save_npy(const std::string& path, const E& x, npy options = {}) {
  save_npy(path, array_of(x), options);
}

}  // namespace filigree
