// expect: filigree: given\(M\): a dense mask must be of bool
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  v = fg::scores(q, k) | (fg::given(v.array() > 0) && fg::causal()) | fg::softmax();
#else
  v = fg::scores(q, k) | fg::given(v) | fg::softmax();
#endif
}
