// SPDX-License-Identifier: MIT
// filigree_decoding folder keys threads: attends with one query of 32 heads to 8 key heads, the raw floats in folder/Q,
// folder/K and folder/V, and writes the result to folder/decoded. It computes once for each line of its input, the name
// of a case of decoding.py, and prints the time in seconds: CPU time with one thread, otherwise wall-clock time. Cases
// read a cache, or the matrices if their name ends in "_matrices".

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
  if (argc != 4) return 2;
  constexpr long d = 128;
  const fg::heads count{32, 8};
  const std::string folder = argv[1];
  const long keys = std::atol(argv[2]), threads = std::atol(argv[3]);
  const auto load = [&](const char* name, long rows, long cols) {
    Matrix x(rows, cols);
    std::ifstream file(folder + "/" + name, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(x.data()), static_cast<std::streamsize>(sizeof(float)) * x.size()))
      std::exit(1);
    return x;
  };
  const Matrix Q = load("Q", 1, count.h * d), K = load("K", keys, count.hkv * d), V = load("V", keys, count.hkv * d);
  Matrix out = Matrix::Zero(1, count.h * d);
  fg::Workspace workspace;
  fg::thread_pool pool(threads);

  auto cache = fg::key_value_cache<float>(count.hkv, d, d, {.capacity = keys});
  cache.append(K, V);

  const auto measure = [&](const auto& heads) {
    const double start = seconds(threads == 1);
    out = heads.on(pool).with(workspace);
    const double took = seconds(threads == 1) - start;
    std::ofstream(folder + "/decoded", std::ios::binary)
        .write(reinterpret_cast<const char*>(out.data()), static_cast<std::streamsize>(sizeof(float)) * out.size());
    std::cout << took << std::endl;
  };
  const auto softmax = fg::softmax();
  const auto top_k = fg::top_k(64) | fg::softmax();
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "softmax")
      measure(fg::multi_head(count, Q, cache, softmax));
    else if (line == "softmax_matrices")
      measure(fg::multi_head(count, Q, K, V, softmax));
    else if (line == "top_k")
      measure(fg::multi_head(count, Q, cache, top_k));
    else if (line == "top_k_matrices")
      measure(fg::multi_head(count, Q, K, V, top_k));
    else
      return 2;
  }
}
