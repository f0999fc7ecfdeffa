// expect: filigree: B \* A: weights must be the left operand
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  v = Eigen::MatrixXf(v.transpose() * Eigen::MatrixXf(fg::scores(q, k) | fg::softmax()));
#else
  v = v.transpose() * (fg::scores(q, k) | fg::softmax());
#endif
}
