// expect: filigree: scores\(Q, K\): Q and K must be dense
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  v = fg::scores(q, k) | fg::softmax();
#else
  Eigen::SparseMatrix<float> s;
  (void)fg::scores(s, k);
#endif
}
