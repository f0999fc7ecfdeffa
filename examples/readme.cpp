// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
#include <iostream>
namespace fg = filigree;

int main() {
  const Eigen::MatrixXf Q{{1, 0}, {0, 2}, {2, 1}, {1, 2}}, K{{2, 0}, {0, 2}, {1, 1}, {3, 1}};
  const Eigen::MatrixXf V{{10}, {20}, {30}, {40}};
  auto A = fg::scores(Q, K) | fg::causal() | fg::top_k(2) | fg::softmax();  // lazy
  const Eigen::MatrixXf weights = A;                                        // two keys per query
  const Eigen::MatrixXf output = A * V;                                     // fused
  std::cout.precision(2);
  std::cout << weights << "\n\n" << output << "\n";
}
