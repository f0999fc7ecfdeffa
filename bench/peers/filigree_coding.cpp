// SPDX-License-Identifier: MIT
// filigree_coding folder rows cols atoms threads: codes the raw doubles in folder/X in the dictionary folder/D, or
// learns from it, and writes the codes or the dictionary to folder/coded. It computes once for each line of its input,
// the name of a case of coding.py, and prints the time in seconds: CPU time with one thread, otherwise wall-clock time.

#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iostream>
#include <string>

#include "clock.hpp"

namespace fg = filigree;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

std::streamsize bytes_of(const Matrix& x) { return static_cast<std::streamsize>(sizeof(double)) * x.size(); }

bool read(const std::string& path, Matrix& x) {
  std::ifstream file(path, std::ios::binary);
  return static_cast<bool>(file.read(reinterpret_cast<char*>(x.data()), bytes_of(x)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const std::string folder = argv[1];
  const long rows = std::atol(argv[2]), cols = std::atol(argv[3]), atoms = std::atol(argv[4]);
  const long threads = std::atol(argv[5]);
  Matrix X(rows, cols), D(atoms, cols);
  if (!read(folder + "/X", X) || !read(folder + "/D", D)) return 1;
  fg::thread_pool pool(threads);

  const auto timed = [&](const auto& compute) {
    const double start = seconds(threads == 1);
    const auto result = compute();
    const double took = seconds(threads == 1) - start;
    const Matrix dense = result;
    std::ofstream(folder + "/coded", std::ios::binary)
        .write(reinterpret_cast<const char*>(dense.data()), bytes_of(dense));
    std::cout << took << std::endl;
  };
  const auto code = [&](const auto& method) {
    timed([&] { return Eigen::SparseMatrix<double, Eigen::RowMajor>(fg::encode(X, D, method).on(pool)); });
  };
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "omp")
      code(fg::omp{.k = 8});
    else if (line == "lasso")
      code(fg::coordinate_descent{.alpha = 1});
    else if (line == "exact")
      code(fg::coordinate_descent{.alpha = 1, .tolerance = 1e-13});
    else if (line == "fista")
      code(fg::fista{.alpha = 1});
    else if (line == "online")
      timed([&] {
        const fg::dictionary_options options{.iterations = 4, .batch = 256, .executor = fg::ExecutorRef(pool)};
        return fg::online_dictionary_learning(X, D, fg::coordinate_descent{.alpha = 1}, options).atoms;
      });
    else
      return 2;
  }
}
