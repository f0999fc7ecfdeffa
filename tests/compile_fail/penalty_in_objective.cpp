// expect: filigree: a penalty of activations belongs in the network, not in the objective: penalize\(l1\(\)\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
  const auto net = filigree::network(filigree::linear(4, 4));
  filigree::Pass pass(net);
  const Eigen::MatrixXf x = Eigen::MatrixXf::Zero(3, 4);
#ifdef FILIGREE_MUST_FAIL
  return pass.loss(net, x, x, filigree::squared_error() + 0.1 * filigree::l1()) == 0 ? 0 : 1;
#else
  return pass.loss(net, x, x, filigree::squared_error() + 0.1 * filigree::weight_decay()) >= 0 ? 0 : 1;
#endif
}
