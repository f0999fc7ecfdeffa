// expect: filigree: route\(A\): no stage of A is a router
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::route(fg::scores(q, k) | fg::prob_sparse(5, 1) | fg::softmax());
#else
  (void)fg::route(fg::scores(q, k) | fg::softmax());
#endif
}
