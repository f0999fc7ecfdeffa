// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/engine/matrix_product.hpp"

namespace filigree::detail {

/// Replaces a symmetric positive definite matrix by its inverse: Gauss-Jordan elimination by blocks, whose pivots are
/// inverted by their Cholesky factors. Returns false if a pivot is not positive definite; the matrix is then undefined.
///
/// Results are the same bits for any number of threads.
/// Shapes  a: n x n, row-major
/// Cost    2 n³ operations, nearly all of them in products with the kernels; O(n) further memory
template <class Matrix>
bool invert_symmetric(Matrix& a, const Session& session) {
  static_assert(Matrix::IsRowMajor);
  using S = typename Matrix::Scalar;
  using Panel = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  constexpr Index block = 64;
  const Index n = a.rows();
  Panel pivot, columns, rows;
  for (Index k = 0; k < n; k += block) {
    const Index count = (std::min)(block, n - k);
    const Eigen::LLT<Panel> factor(Panel(a.block(k, k, count, count)));
    if (factor.info() != Eigen::Success) return false;
    pivot = factor.solve(Panel::Identity(count, count));
    if (!pivot.allFinite()) return false;
    // a(i, j) -= a(i, K) P a(K, j) for all rows i but K. In the columns K, -a(i, K) P remains.
    columns = -a.middleCols(k, count);
    columns.middleRows(k, count).setZero();
    rows.resize(count, n);
    multiply(view(pivot), MatrixView<S>{a.data() + k * n, count, n, n, 1}, {.data = rows.data(), .stride = n}, session);
    rows.middleCols(k, count) = pivot;
    a.middleCols(k, count).setZero();
    multiply(view(columns), view(rows), {.data = a.data(), .stride = n, .add = true}, session);
    a.middleRows(k, count) = rows;
  }
  return true;
}

}  // namespace filigree::detail
