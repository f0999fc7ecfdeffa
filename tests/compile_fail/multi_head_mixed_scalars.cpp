// expect: filigree: multi_head\(heads, Q, K, V, head\): Q, K and V must have the same scalar
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::multi_head(fg::heads{2}, q, k, v, fg::softmax());
#else
  (void)fg::multi_head(fg::heads{2}, q, k, d, fg::softmax());
#endif
}
