// expect: filigree: attend\(A, V\): A must end in softmax\(\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::attend(fg::scores(q, k) | fg::top_k(3) | fg::softmax() | fg::dropout(0.1, 1), v);
#else
  (void)fg::attend(fg::scores(q, k) | fg::top_k(3) | fg::sparsemax(), v);
#endif
}
