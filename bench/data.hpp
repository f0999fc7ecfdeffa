// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filigree/core/generator.hpp>

namespace bench {

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// N(0, 1), the same numbers everywhere.
inline Matrix normal(Index rows, Index cols, std::uint64_t stream) {
  fg::Generator generator(2026, stream);
  Matrix result(rows, cols);
  fg::fill_normal(result, generator);
  return result;
}

/// Whether a dot product of d terms, whose sizes add up to `size`, may come out as `got` in float.
inline bool is_dot_product(double got, double exact, double size, Index d) {
  const double eps = std::numeric_limits<float>::epsilon();
  return std::abs(got - exact) <= static_cast<double>(d + 2) * eps * size;
}

/// Tells the compiler that what p points to is used.
template <class T>
void keep(const T* p) {
  asm volatile("" : : "r"(p) : "memory");
}

}  // namespace bench
