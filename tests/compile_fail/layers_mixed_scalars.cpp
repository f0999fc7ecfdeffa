// expect: filigree: network\(stages\): all layers must have the same scalar
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = filigree::network(filigree::linear<double>(4, 2) | filigree::linear(2, 3));
#else
  const auto net = filigree::network(filigree::linear<double>(4, 2) | filigree::linear<double>(2, 3));
#endif
  return net.outputs() == 3 ? 0 : 1;
}
