// expect: filigree: two patterns in a row: combine patterns with && or \|\|, not with \|
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)(fg::scores(q, k) | (fg::causal() && fg::window(3)));
#else
  (void)(fg::scores(q, k) | fg::causal() | fg::window(3));
#endif
}
