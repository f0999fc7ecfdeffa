// expect: filigree: gradients\(A \* V, dO\): dO must have the scalar of the product
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& v, Eigen::MatrixXf& d_out, Eigen::MatrixXd& wide) {
#ifndef FILIGREE_MUST_FAIL
  d_out = fg::gradients((fg::scores(q, q) | fg::softmax()) * v, wide.cast<float>()).q;
#else
  d_out = fg::gradients((fg::scores(q, q) | fg::softmax()) * v, wide).q;
#endif
}
