// expect: filigree: stages \| source: the source must be on the left
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)(fg::scores(q, k) | fg::top_k(2));
#else
  (void)(fg::top_k(2) | q);
#endif
}
