// expect: filigree: the target must have the scalar of the expression
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  v = fg::scores(q, k) * v;
#else
  d = fg::scores(q, k) * v;
#endif
}
