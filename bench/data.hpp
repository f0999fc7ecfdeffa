// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filigree/core/generator.hpp>

namespace bench {

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Returns numbers from N(0, 1), the same on every platform.
inline Matrix normal(Index rows, Index cols, std::uint64_t stream) {
  fg::Generator generator(2026, stream);
  Matrix result(rows, cols);
  fg::fill_normal(result, generator);
  return result;
}

/// Returns true if `got` is within the rounding error of a dot product of d terms in float. `size` is the sum of the
/// absolute values of the terms.
inline bool is_dot_product(double got, double exact, double size, Index d) {
  const double eps = std::numeric_limits<float>::epsilon();
  return std::abs(got - exact) <= static_cast<double>(d + 2) * eps * size;
}

/// Keeps the compiler from optimizing away the memory that p points to.
template <class T>
void keep(const T* p) {
  asm volatile("" : : "r"(p) : "memory");
}

}  // namespace bench
