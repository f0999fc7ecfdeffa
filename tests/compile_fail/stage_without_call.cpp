// expect: filigree: x \| stage: call the function of the stage with parentheses
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  v = fg::scores(q, k) | fg::softmax();
#else
  v = fg::scores(q, k) | fg::softmax;
#endif
}
