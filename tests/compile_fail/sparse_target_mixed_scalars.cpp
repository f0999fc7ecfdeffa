// expect: filigree: the target must have the scalar of the expression
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  Eigen::SparseMatrix<float> w = fg::scores(q, k) | fg::top_k(2);
#else
  Eigen::SparseMatrix<double> w = fg::scores(q, k) | fg::top_k(2);
#endif
}
