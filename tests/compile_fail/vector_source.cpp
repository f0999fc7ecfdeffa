// expect: filigree: x \| stage: x must be an Eigen matrix or vector
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
#include <vector>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  std::vector<float> x(9);
  const Eigen::VectorXf y = Eigen::Map<const Eigen::VectorXf>(x.data(), 9) | fg::top_k(2);
  (void)y;
#else
  std::vector<float> x(9);
  (void)(x | fg::top_k(2));
#endif
}
