// expect: filigree: network\(stages\): this stage has no derivative and cannot be a layer
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = filigree::network(filigree::linear(4, 2) | filigree::causal());
#else
  const auto net = filigree::network(filigree::linear(4, 2) | filigree::sigmoid());
#endif
  return net(Eigen::MatrixXf::Zero(3, 4)).cols() == 2 ? 0 : 1;
}
