// SPDX-License-Identifier: MIT
// filigree_sparse_head folder texts tokens d terms k threads: reads x and weights, which sparse_head.py has written to
// the folder. It computes the head of a sparse encoder once for each line of its input, writes the weights of each text
// to folder/values and the peak memory in MB above that of the operands to folder/megabytes, and prints the time in
// seconds: CPU time with one thread, otherwise wall-clock time.

#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "clock.hpp"

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

void read(const std::string& path, float* to, Index count) {
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(to), static_cast<std::streamsize>(sizeof(float)) * count);
}

template <class T>
void write(const std::string& path, const T* from, Index count) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(from), static_cast<std::streamsize>(sizeof(T)) * count);
}

/// Peak memory in MB. getrusage would count that of the program that started this one.
double peak() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      double kilobytes = 0;
      status >> kilobytes;
      return kilobytes / 1024;
    }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  const std::string folder = argv[1];
  const Index texts = std::atol(argv[2]), tokens = std::atol(argv[3]), d = std::atol(argv[4]);
  const Index terms = std::atol(argv[5]), k = std::atol(argv[6]), threads = std::atol(argv[7]);
  Matrix x(texts * tokens, d);
  read(folder + "/x", x.data(), x.size());
  auto net = fg::network(fg::linear(d, terms) | fg::log1p_relu() | fg::pool_max() | fg::top_k(k));
  read(folder + "/weights", net.parameters().data(), d * terms);
  const fg::Batch batch{x, std::vector<Index>(static_cast<std::size_t>(texts), tokens)};
  const double before = peak();
  fg::thread_pool pool(threads);
  fg::Predictor encode(net, fg::ExecutorRef(pool));
  for (std::string line; std::getline(std::cin, line);) {
    const double start = seconds(threads == 1);
    const auto codes = encode.sparse(batch);
    const double took = seconds(threads == 1) - start, used = peak() - before;
    write(folder + "/values", codes.valuePtr(), codes.nonZeros());
    write(folder + "/megabytes", &used, 1);
    std::cout << took << std::endl;
  }
}
