// expect: filigree: multi_head\(heads, Q, K, V, head\): head must be a pipeline or a function
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::multi_head(fg::heads{2}, q, k, v, [](auto) { return fg::softmax(); });
#else
  (void)fg::multi_head(fg::heads{2}, q, k, v, 3);
#endif
}
