// expect: filigree: penalize\(penalty\): takes penalties of activations
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = filigree::network(filigree::linear(4, 2) | filigree::penalize(filigree::squared_error()));
#else
  const auto net = filigree::network(filigree::linear(4, 2) | filigree::penalize(0.1 * filigree::l1()));
#endif
  return net.outputs() == 2 ? 0 : 1;
}
