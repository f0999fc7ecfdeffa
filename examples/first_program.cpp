// SPDX-License-Identifier: MIT
// What does a first program do, and what does it print?
#include <filigree/filigree.hpp>
#include <iostream>

namespace fg = filigree;

int main() {
  // Four tokens. A row of Q is a query, a row of K a key, a row of V the value of that key.
  const Eigen::MatrixXf Q{{1, 0}, {0, 2}, {2, 1}, {1, 2}};
  const Eigen::MatrixXf K{{2, 0}, {0, 2}, {1, 1}, {3, 1}};
  const Eigen::MatrixXf V{{10}, {20}, {30}, {40}};

  auto A = fg::scores(Q, K) | fg::causal() | fg::softmax();
  const Eigen::MatrixXf weights = A;
  const Eigen::MatrixXf output = A * V;

  const Eigen::IOFormat format(2, 0, "  ", "\n", "  ");
  std::cout << std::fixed << weights.format(format) << "\n\n" << output.format(format) << "\n\n";

  auto best = fg::scores(Q, K) | fg::causal() | fg::top_k(2) | fg::softmax();
  const Eigen::MatrixXf best_weights = best;
  std::cout << best_weights.format(format) << "\n\n";

  const auto [columns, values] = fg::selected(best);
  std::cout << columns << "\n\n";

  const auto pattern = fg::causal() && (fg::first(1) || fg::window(1));
  const Eigen::MatrixXf local = fg::scores(Q, K) | pattern | fg::softmax();
  std::cout << local.format(format) << "\n\n";

  try {
    const Eigen::MatrixXf wrong = fg::scores(Q, K.leftCols(1)) | fg::softmax();
  } catch (const fg::Error& error) {
    std::cout << error.what() << "\n";
  }
}
