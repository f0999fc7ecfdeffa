// expect: filigree: network\(stages\): needs a layer with a scalar, such as linear\(in, out\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = filigree::network(filigree::relu() | filigree::sigmoid());
#else
  const auto net = filigree::network(filigree::relu() | filigree::linear(2, 3));
#endif
  return net.outputs() == 3 ? 0 : 1;
}
