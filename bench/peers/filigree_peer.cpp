// SPDX-License-Identifier: MIT
// filigree_peer folder n d k threads: top-k attention of the raw floats in folder/Q, K and V, into folder/filigree.
// Computes once for each line it reads, "top" or "all" keys, and answers with the seconds, so that peers.py can let the
// programs take turns: those of the processor for one thread, else those of the wall clock.

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iostream>
#include <string>

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

static double seconds(bool processor) {
  if (processor) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const std::string folder = argv[1];
  const long n = std::atol(argv[2]), d = std::atol(argv[3]), k = std::atol(argv[4]), threads = std::atol(argv[5]);
  const auto bytes = static_cast<std::streamsize>(sizeof(float)) * n * d;
  const auto read = [&](const char* name) {
    Matrix x(n, d);
    std::ifstream file(folder + "/" + name, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(x.data()), bytes)) std::exit(1);
    return x;
  };
  const Matrix Q = read("Q"), K = read("K"), V = read("V");
  Matrix out(n, d);
  fg::Workspace workspace;
  fg::thread_pool pool(threads);

  const auto top = (fg::scores(Q, K) | fg::top_k(k) | fg::softmax()).on(pool).with(workspace);
  const auto all = (fg::scores(Q, K) | fg::softmax()).on(pool).with(workspace);
  for (std::string line; std::getline(std::cin, line);) {
    const double start = seconds(threads == 1);
    if (line == "all")
      out = all * V;
    else
      out = top * V;
    const double took = seconds(threads == 1) - start;
    std::ofstream(folder + "/filigree", std::ios::binary).write(reinterpret_cast<const char*>(out.data()), bytes);
    std::cout << took << std::endl;
  }
}
