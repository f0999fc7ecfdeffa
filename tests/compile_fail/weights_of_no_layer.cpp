// expect: filigree: network.weights<L>\(\): stage L, from 0, has no weights
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v) {
  (void)q, (void)k, (void)v;
#ifndef FILIGREE_MUST_FAIL
  auto net = fg::network(fg::linear(2, 3) | fg::relu());
  net.weights<0>().setZero();
#else
  auto net = fg::network(fg::linear(2, 3) | fg::relu());
  net.weights<1>().setZero();
#endif
}
