// expect: filigree: 2 \* A: weights are not scaled
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  v = 2 * ((fg::scores(q, k) | fg::softmax()) * v);
#else
  v = (2 * (fg::scores(q, k) | fg::softmax())) * v;
#endif
}
