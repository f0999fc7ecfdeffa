// expect: filigree: this stage is a layer \(linear, penalize\): use it in network\(...\) or autoencoder\(...\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

int main() {
  Eigen::MatrixXf x = Eigen::MatrixXf::Random(3, 4);
#ifdef FILIGREE_MUST_FAIL
  Eigen::MatrixXf y = x | filigree::linear(4, 2);
#else
  Eigen::MatrixXf y = filigree::network(filigree::linear(4, 2))(x);
#endif
  return y.rows() == 3 ? 0 : 1;
}
