// SPDX-License-Identifier: MIT
// A program that trains an autoencoder.
#include <filigree/filigree.hpp>

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  const Matrix samples = Matrix::Random(256, 16);
  auto sae = fg::autoencoder(fg::linear(16, 64) | fg::relu() | fg::top_k(4), fg::linear(64, 16));
  const auto report = fg::fit(sae, samples, fg::squared_error(), fg::adam{.rate = 1e-3}, {.epochs = 2});
  return report.losses.size() == 2 ? 0 : 1;
}
