// expect: filigree: this map has no derivative: write map\(f, df\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

float square(float x, Eigen::Index, Eigen::Index) { return x * x; }
float twice(float x, Eigen::Index, Eigen::Index) { return 2 * x; }

int main() {
#ifdef FILIGREE_MUST_FAIL
  const auto net = fg::network(fg::linear(4, 2) | fg::map(square));
#else
  const auto net = fg::network(fg::linear(4, 2) | fg::map(square, twice));
#endif
  return net(Eigen::MatrixXf::Zero(3, 4)).cols() == 2 ? 0 : 1;
}
