// expect: filigree: bias\(B\): B must have the scalar of the scores
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  v = fg::scores(q, k) | fg::bias(d.cast<float>()) | fg::softmax();
#else
  v = fg::scores(q, k) | fg::bias(d) | fg::softmax();
#endif
}
