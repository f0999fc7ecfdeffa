// expect: filigree: this map has no derivative: write map\(f, df\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

float square(float x, Eigen::Index, Eigen::Index) { return x * x; }
float twice(float x, Eigen::Index, Eigen::Index) { return 2 * x; }

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& v, Eigen::MatrixXf& d_out) {
#ifndef FILIGREE_MUST_FAIL
  d_out = fg::gradients((fg::scores(q, q) | fg::map(square, twice) | fg::softmax()) * v, d_out).q;
#else
  d_out = fg::gradients((fg::scores(q, q) | fg::map(square) | fg::softmax()) * v, d_out).q;
#endif
}
