// expect: filigree: pass: X and Y must have the scalar of the network; cast them with .cast<>\(\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
  const auto net = filigree::network(filigree::linear(4, 4));
  filigree::Pass pass(net);
  const Eigen::MatrixXd x = Eigen::MatrixXd::Zero(3, 4);
#ifdef FILIGREE_MUST_FAIL
  return pass.loss(net, x, x, filigree::squared_error()) == 0 ? 0 : 1;
#else
  return pass.loss(net, x.cast<float>(), x.cast<float>(), filigree::squared_error()) >= 0 ? 0 : 1;
#endif
}
