// SPDX-License-Identifier: MIT
// How does gradient descent train a sparse autoencoder of handwritten digits?
#include <filigree/filigree.hpp>
#include <iomanip>
#include <iostream>

#include "digits_data.hpp"

namespace fg = filigree;

/// Codes of 25 numbers, each of which is 0.1 on average over the samples.
Matrix sparse_codes(const Matrix& samples) {
  auto sae = fg::autoencoder(fg::linear(64, 25) | fg::sigmoid() | fg::penalize(3.0 * fg::kl(0.1)),
                             fg::linear(25, 64) | fg::sigmoid());
  const auto objective = 0.5 * fg::squared_error() + 1e-4 * fg::weight_decay();

  fg::Pass pass(sae);
  Eigen::VectorXf gradient;
  for (int step = 0; step <= 600; ++step) {
    const double loss = pass.gradient(sae, samples, samples, objective, gradient);
    if (step % 200 == 0) std::cout << "step " << step << ": loss " << loss << '\n';
    sae.parameters() -= 0.3f * gradient;
  }
  return sae.encode(samples);
}

int main() {
  std::cout << std::fixed << std::setprecision(1);
  const Matrix codes = sparse_codes(read_digits(FILIGREE_DIGITS).pixels / 16);
  std::cout << "mean of the codes: " << codes.mean() << '\n';
}
