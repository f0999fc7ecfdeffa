// expect: filigree: A.adjoint\(\): weights are lazy rows
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  v = Eigen::MatrixXf(fg::scores(q, k) | fg::softmax()).adjoint();
#else
  v = (fg::scores(q, k) | fg::softmax()).adjoint();
#endif
}
