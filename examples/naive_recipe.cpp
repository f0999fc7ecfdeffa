// SPDX-License-Identifier: MIT
// A recipe of many tutorials: keep the two largest scores of each row and divide them by their sum, without a softmax.
//
// Five tokens of four features are queries, keys and values at the same time. The scale is 1/sqrt(4) = 1/2.
//
//   token   features   scores against tokens 0 to 4   kept              divided by their sum
//   0       2 0 1 0    2.5  1.0  0.5  1.5  2.0        0: 2.5  4: 2.0    0: 0.556  4: 0.444
//   1       0 2 2 0    1.0  4.0  1.0  2.0  0.0        1: 4.0  3: 2.0    1: 0.667  3: 0.333
//   2       0 0 1 3    0.5  1.0  5.0  2.0  1.5        2: 5.0  3: 2.0    2: 0.714  3: 0.286
//   3       1 1 1 1    1.5  2.0  2.0  2.0  1.5        1: 2.0  2: 2.0    1: 0.500  2: 0.500
//   4       2 0 0 1    2.0  0.0  1.5  1.5  2.5        0: 2.0  4: 2.5    0: 0.444  4: 0.556
//
// Row 3 has three equal scores, and the two lowest tokens are kept. Row 0 of the output is 0.556 times token 0 plus
// 0.444 times token 4. Scores may have any sign, so their sum may be 0: normalize_sum() makes such a row empty.
#include <filigree/filigree.hpp>
#include <iostream>

namespace fg = filigree;

int main() {
  const Eigen::MatrixXf X{{2, 0, 1, 0}, {0, 2, 2, 0}, {0, 0, 1, 3}, {1, 1, 1, 1}, {2, 0, 0, 1}};

  auto A = fg::scores(X, X) | fg::top_k(2) | fg::normalize_sum();
  const Eigen::MatrixXf weights = A, output = A * X;

  const Eigen::IOFormat rows(3, 0, "  ", "\n", "  ");
  std::cout << std::fixed << "weights\n" << weights.format(rows) << "\noutput\n" << output.format(rows) << "\n";
}
