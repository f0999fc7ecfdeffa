// expect: filigree: this stage is a router .*which reads queries and keys: use it on scores
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  v = fg::scores(q, k) | fg::prob_sparse(5, 1) | fg::softmax();
#else
  v = q | fg::prob_sparse(5, 1) | fg::softmax();
#endif
}
