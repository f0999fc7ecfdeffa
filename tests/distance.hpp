// SPDX-License-Identifier: MIT
// How far two products A * V may be apart.
#pragma once

#include "inputs.hpp"

namespace test {

/// Returns the largest difference between the entries of two matrices of the same shape, or 0 without entries.
template <class S>
double distance(const Matrix<S>& a, const Matrix<S>& b) {
  return a.size() == 0 ? 0 : static_cast<double>((a - b).cwiseAbs().maxCoeff());
}

/// A bound on the distance of two products of weights of sum 1 and normally distributed values, which were summed in
/// different order.
template <class S>
inline constexpr double tolerance = sizeof(S) == 4 ? 2e-6 : 4e-15;

}  // namespace test
