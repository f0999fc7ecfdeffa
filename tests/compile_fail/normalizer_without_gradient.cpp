// expect: filigree: this normalizer has no gradient: write a member void backward
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

struct Largest {
  using Category = filigree::Normalizer;

  template <class S>
  void apply(filigree::Row<S>& row) const {
    for (Eigen::Index i = 0; i < row.count; ++i) row.values[i] = 1;
  }
};

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = filigree::network(filigree::linear(4, 2) | Largest{});
#else
  const auto net = filigree::network(filigree::linear(4, 2) | filigree::entmax15());
#endif
  return net(Eigen::MatrixXf::Zero(3, 4)).cols() == 2 ? 0 : 1;
}
