// expect: filigree: B \- A: weights are lazy rows and are not subtracted
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  v = Eigen::MatrixXf(fg::scores(q, k) | fg::softmax()) - v;
#else
  v = v - (fg::scores(q, k) | fg::softmax());
#endif
}
