// expect: filigree: pack\(K\): the scalar must be float or double
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::pack(k);
#else
  Eigen::MatrixXi z;
  (void)fg::pack(z);
#endif
}
