// expect: filigree: A \* V: A and V must have the same scalar; cast one with .cast<>\(\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)((fg::scores(q, k) | fg::softmax()) * v);
#else
  (void)((fg::scores(q, k) | fg::softmax()) * d);
#endif
}
