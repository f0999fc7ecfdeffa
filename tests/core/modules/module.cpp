// SPDX-License-Identifier: MIT
// A shared library that computes with Filigree. It is compiled with OpenMP and without.
#include <filigree/attention/attention.hpp>

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

extern "C" {

/// Returns the number of workers of the default executor of the library.
Eigen::Index concurrency() { return filigree::ExecutorRef().concurrency(); }

/// Returns the sum of an attention output, computed on the default executor.
float compute() {
  const Matrix q = Matrix::Constant(40, 8, 0.5F), v = Matrix::Ones(90, 4);
  const Matrix out = (filigree::scores(q, Matrix::Constant(90, 8, 0.25F)) | filigree::softmax()) * v;
  return out.sum();
}
}
