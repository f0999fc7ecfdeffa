// SPDX-License-Identifier: MIT
// What does each sparsifier keep of a vector?
#include <filigree/filigree.hpp>
#include <iostream>

namespace fg = filigree;

int main() {
  const Eigen::VectorXf x{{0.9f, 0.1f, 0.8f, 0.6f, 0.2f, 0.3f}};
  const Eigen::IOFormat brackets(4, Eigen::DontAlignCols, " ", " ", "", "", "[", "]\n");

  const Eigen::VectorXf kept = x | fg::threshold(0.5);
  const Eigen::VectorXf shrunk = x | fg::soft_threshold(0.5);
  const Eigen::VectorXf best = x | fg::top_k(2);
  const Eigen::VectorXf pruned = x | fg::prune_n_m(1, 2);
  const Eigen::SparseMatrix<float> stored = x | fg::threshold(0.5);

  std::cout << "x                          " << x.format(brackets) << "x | threshold(0.5)         "
            << kept.format(brackets) << "x | soft_threshold(0.5)    " << shrunk.format(brackets)
            << "x | top_k(2)               " << best.format(brackets) << "x | prune_n_m(1, 2)        "
            << pruned.format(brackets) << stored.nonZeros() << " of 6 entries pass the threshold\n";
}
