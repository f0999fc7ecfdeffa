// SPDX-License-Identifier: MIT
// A program with multi-head attention under three patterns.
#include <filigree/filigree.hpp>

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  const Matrix Q = Matrix::Random(256, 128), K = Matrix::Random(256, 32), V = Matrix::Random(256, 32);
  const Matrix whole = fg::multi_head(fg::heads{8, 2}, Q, K, V, fg::causal() | fg::softmax());
  const Matrix local = fg::multi_head(fg::heads{8, 2}, Q, K, V, fg::longformer(64, {0}) | fg::softmax());
  const Matrix best =
      fg::multi_head(fg::heads{8, 2}, Q, K, V, (fg::causal() && fg::window(64, 0)) | fg::top_k(16) | fg::softmax());
  return whole.allFinite() && local.allFinite() && best.allFinite() ? 0 : 1;
}
