// expect: filigree: relative_bias\(table\): the table must be a vector at compile time
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::relative_bias(q.col(0));
#else
  (void)fg::relative_bias(q);
#endif
}
