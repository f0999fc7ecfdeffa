// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <filigree/encoder/measures/density.hpp>
#include <filigree/nn/nn.hpp>
#include <numeric>
#include <vector>

// Measures of the codes of an autoencoder.

using Samples = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Trains a linear classifier on `train` and returns the percentage of rows of `test` that it classifies correctly.
/// Labels are one-hot.
inline double probe(const Samples& train, const Samples& labels, const Samples& test, const Samples& truth) {
  auto classifier = filigree::network(filigree::linear<double>(train.cols(), labels.cols()));
  filigree::fit(classifier, train, labels, filigree::cross_entropy() + 1e-3 * filigree::weight_decay(),
                filigree::adam{.rate = 0.02}, {.epochs = 300});
  const Samples votes = classifier(test);
  Eigen::Index correct = 0, best = 0;
  for (Eigen::Index i = 0; i < test.rows(); ++i) {
    votes.row(i).maxCoeff(&best);
    correct += truth(i, best) == 1 ? 1 : 0;
  }
  return 100.0 * static_cast<double>(correct) / static_cast<double>(test.rows());
}

/// Returns the latents that are active most often, in descending order of density.
inline std::vector<Eigen::Index> most_used(const Samples& codes, std::size_t count) {
  const Eigen::VectorXd density = filigree::density(codes);
  std::vector<Eigen::Index> order(static_cast<std::size_t>(codes.cols()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](Eigen::Index a, Eigen::Index b) { return density[a] > density[b]; });
  order.resize(count);
  return order;
}
