// SPDX-License-Identifier: MIT
// filigree_gradients folder n d k threads: computes attention of the raw floats in folder/Q, folder/K and folder/V and
// its gradients from folder/dO, and writes the gradients by Q, K and V to folder/gradients, one after the other. It
// computes once for each line of its input, the name of a case of gradients.py, and prints the time of the forward and
// the backward pass in seconds: CPU time with one thread, otherwise wall-clock time.

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
  const Matrix Q = read("Q"), K = read("K"), V = read("V"), dO = read("dO");
  fg::Workspace workspace;
  fg::thread_pool pool(threads);

  const auto differentiate = [&](const auto& stages) {
    const double start = seconds(threads == 1);
    const auto gradients = [&] {
      const auto saved = fg::forward((fg::scores(Q, K) | stages).with(workspace).on(pool) * V);
      return fg::backward(saved, dO);
    }();
    const double took = seconds(threads == 1) - start;
    std::ofstream file(folder + "/gradients", std::ios::binary);
    for (const Matrix& x : {Matrix(gradients.q), Matrix(gradients.k), Matrix(gradients.v)})
      file.write(reinterpret_cast<const char*>(x.data()), bytes);
    file.close();
    std::cout << took << std::endl;
  };
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "all")
      differentiate(fg::softmax());
    else if (line == "causal")
      differentiate(fg::causal() | fg::softmax());
    else if (line == "window")
      differentiate(fg::window(256) | fg::softmax());
    else if (line == "top_k")
      differentiate(fg::top_k(k) | fg::softmax());
    else
      return 2;
  }
}
