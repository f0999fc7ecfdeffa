// SPDX-License-Identifier: MIT
// filigree_sparsifiers folder rows cols threads: applies a sparsifier to the raw floats in folder/X, and writes the
// result to folder/sparsified. It computes once for each line of its input, the name of a case of sparsifiers.py, and
// prints the time in seconds: CPU time with one thread, otherwise wall-clock time.

#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iostream>
#include <string>

#include "clock.hpp"

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::string folder = argv[1];
  const long rows = std::atol(argv[2]), cols = std::atol(argv[3]), threads = std::atol(argv[4]);
  const auto bytes = static_cast<std::streamsize>(sizeof(float)) * rows * cols;
  Matrix X(rows, cols), out = Matrix::Zero(rows, cols);
  std::ifstream file(folder + "/X", std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(X.data()), bytes)) return 1;
  fg::Workspace workspace;
  fg::thread_pool pool(threads);

  const auto apply = [&](const auto& stage) {
    const double start = seconds(threads == 1);
    out = (X | stage).on(pool).with(workspace);
    const double took = seconds(threads == 1) - start;
    std::ofstream(folder + "/sparsified", std::ios::binary).write(reinterpret_cast<const char*>(out.data()), bytes);
    std::cout << took << std::endl;
  };
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "threshold")
      apply(fg::threshold(1));
    else if (line == "soft_threshold")
      apply(fg::soft_threshold(1));
    else if (line == "top_k")
      apply(fg::top_k(32));
    else if (line == "prune_n_m")
      apply(fg::prune_n_m(2, 4));
    else
      return 2;
  }
}
