// SPDX-License-Identifier: MIT
// Compiled with -ffast-math -fno-finite-math-only: the compiler may reorder sums, and the processor flushes denormal
// numbers to 0.
#include <cmath>
#include <cstdio>
#include <filigree/attention/attention.hpp>

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  int failures = 0;
  const auto check = [&](bool ok, const char* what) {
    if (!ok) std::printf("wrong: %s\n", what);
    failures += ok ? 0 : 1;
  };

  // Scores far below 0, where a simplified exponential would be wrong.
  const Matrix q = Matrix::Ones(9, 1);
  const Matrix k{{0.F}, {-0.5F}, {-1.F}, {-1.25F}, {-40.F}, {-200.F}};
  const Matrix w = fg::scores(q, k) | fg::softmax();
  double sum = 0;
  for (int j = 0; j < 6; ++j) sum += std::exp(double(k(j, 0)));
  for (int i = 0; i < 9; ++i)
    for (int j = 0; j < 6; ++j) {
      const double exact = std::exp(double(k(j, 0))) / sum;
      check(std::abs(w(i, j) - exact) <= 4e-7 * exact + 1e-37, "softmax");
    }
  const Matrix v = Matrix::Identity(6, 6);
  const Matrix out = (fg::scores(q, k) | fg::softmax()) * v;
  check((out - w).cwiseAbs().maxCoeff() < 1e-6F, "the fused product");
  const Matrix row = (fg::scores(q.topRows(1), k) | fg::softmax()) * v;
  check((row.array() == out.row(0).array()).all(), "one row alone");

  // Ties at 0, NaN and infinity.
  Matrix x = Matrix::Zero(1, 40);
  const Eigen::SparseMatrix<float, Eigen::RowMajor> best = x | fg::top_k(7);
  check(best.nonZeros() == 7, "ties at 0");
  x(0, 30) = NAN;
  x(0, 20) = INFINITY;
  const auto [columns, values] = fg::selected(x | fg::top_k(2));
  check(columns(0, 0) == 30 && columns(0, 1) == 20 && values(0, 0) != values(0, 0), "NaN ranks first");
  const Matrix nan_row = x | fg::softmax();
  check((nan_row.array() != nan_row.array()).all(), "NaN makes a row NaN");
  return failures == 0 ? 0 : 1;
}
