// expect: filigree: this loss is computed from codes: it needs an autoencoder whose decoder is one linear layer
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = filigree::network(filigree::linear(4, 8) | filigree::tanh() | filigree::linear(8, 4));
#else
  const auto net = filigree::autoencoder(filigree::linear(4, 8) | filigree::tanh(), filigree::linear(8, 4));
#endif
  filigree::Pass pass(net);
  const Eigen::MatrixXf x = Eigen::MatrixXf::Zero(3, 4);
  return pass.loss(net, x, x, filigree::matryoshka({2, 8})) == 0 ? 0 : 1;
}
