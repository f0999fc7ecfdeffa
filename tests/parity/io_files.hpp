// SPDX-License-Identifier: MIT
// The matrices of data/io_files (see data/README.md).
#pragma once

#include <cmath>
#include <string>

#include "filigree/io/array.hpp"
#include "filigree/io/file.hpp"

namespace parity {

inline constexpr filigree::Type all_types[] = {
    filigree::Type::boolean, filigree::Type::int8,    filigree::Type::int16,   filigree::Type::int32,
    filigree::Type::int64,   filigree::Type::uint8,   filigree::Type::uint16,  filigree::Type::uint32,
    filigree::Type::uint64,  filigree::Type::float16, filigree::Type::float32, filigree::Type::float64,
    filigree::Type::bfloat16};

inline std::string path(const std::string& name) { return std::string(FILIGREE_PARITY_DATA) + "/io_files/" + name; }
inline std::string content(const std::string& name) { return std::string(filigree::read_file(name).text()); }

inline Eigen::MatrixXd fractions() {
  Eigen::MatrixXd x(3, 4);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) x(i, j) = (j % 2 == 0 ? 1.0 : -1.0) / (1 + i + 3 * j);
  x(2, 3) = 1 + 0x1p-11 + 0x1p-40;
  return x;
}

/// Returns the matrix that Python wrote in that type.
inline filigree::NdArray matrix(filigree::Type type) {
  using filigree::Type;
  if (type >= Type::float16) return filigree::array_of(fractions(), type);
  Eigen::MatrixXi x(3, 4);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j)
      x(i, j) = type == Type::boolean ? (i + j) % 3 == 0 : 7 * i + (type >= Type::uint8 ? 3 : -3) * j;
  return filigree::array_of(x, type);
}

}  // namespace parity
