// expect: filigree: X \| stage: X must have scalars of type float or double
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)(Eigen::MatrixXi::Zero(2, 2).cast<float>() | fg::top_k(2));
#else
  (void)(Eigen::MatrixXi::Zero(2, 2) | fg::top_k(2));
#endif
}
