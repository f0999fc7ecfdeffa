// expect: filigree: A \* V: V must be dense
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  v = (fg::scores(q, k) | fg::softmax()) * v;
#else
  Eigen::SparseMatrix<float> s;
  v = (fg::scores(q, k) | fg::softmax()) * s;
#endif
}
