// expect: filigree: this stage works on a whole matrix
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)(q | fg::prune_magnitude(0.5));
#else
  (void)(fg::scores(q, k) | fg::causal() | fg::prune_magnitude(0.5));
#endif
}
