// expect: filigree: where\(f\): f must be callable as bool f\(Eigen::Index p, Eigen::Index j\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::where([](Eigen::Index p, Eigen::Index j) { return p == j; });
#else
  (void)fg::where([](Eigen::Index p) { return p == 0; });
#endif
}
