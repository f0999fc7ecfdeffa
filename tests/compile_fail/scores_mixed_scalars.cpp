// expect: filigree: scores\(Q, K\): Q and K must have the same scalar; cast one with .cast<>\(\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::scores(q, d.cast<float>());
#else
  (void)fg::scores(q, d);
#endif
}
