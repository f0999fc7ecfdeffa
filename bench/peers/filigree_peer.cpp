// SPDX-License-Identifier: MIT
// filigree_peer folder n d k threads: computes attention of the raw floats in folder/Q, folder/K and folder/V, and
// writes it to folder/filigree. It computes once for each line of its input, which is "top" (the k largest scores),
// "all" (all keys) or the name of a pattern. It prints the time in seconds: CPU time with one thread, otherwise
// wall-clock time. The line "keys <pattern>" writes the keys that each query attends to, as (query, first key, last key
// + 1), to folder/keys.

#include <cstdint>
#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "clock.hpp"

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Calls f with the pattern that has this name in patterns.py.
template <class F>
static void with_pattern(const std::string& name, F&& f) {
  if (name == "causal")
    f(fg::causal());
  else if (name == "window")
    f(fg::window(256) || fg::global({0, 1}));
  else if (name == "bigbird")
    f(fg::bigbird(64, 3, 1));
  else if (name == "strided")
    f(fg::sparse_transformer_strided(128));
  else
    std::exit(2);
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

  const auto attend = [&](const auto& stages) {
    const double start = seconds(threads == 1);
    out = (fg::scores(Q, K) | stages).on(pool).with(workspace) * V;
    const double took = seconds(threads == 1) - start;
    std::ofstream(folder + "/filigree", std::ios::binary).write(reinterpret_cast<const char*>(out.data()), bytes);
    std::cout << took << std::endl;
  };
  const auto write_keys = [&](const auto& pattern) {
    const fg::Grid grid{.n = n, .m = n, .query_at = 0, .key_at = 0};
    std::vector<std::int32_t> keys;
    fg::Ranges ranges;
    for (long i = 0; i < n; ++i) {
      ranges.clear();
      fg::detail::kept_ranges(pattern, i, grid, ranges);
      for (const fg::Range& range : ranges)
        for (const long x : {i, range.begin, range.end}) keys.push_back(static_cast<std::int32_t>(x));
    }
    std::ofstream(folder + "/keys", std::ios::binary)
        .write(reinterpret_cast<const char*>(keys.data()),
               static_cast<std::streamsize>(keys.size() * sizeof(std::int32_t)));
    std::cout << 0 << std::endl;
  };

  for (std::string line; std::getline(std::cin, line);) {
    if (line.starts_with("keys ")) {
      with_pattern(line.substr(5), write_keys);
      continue;
    }
    if (line == "all")
      attend(fg::softmax());
    else if (line == "top")
      attend(fg::top_k(k) | fg::softmax());
    else
      with_pattern(line, [&](const auto& pattern) { attend(pattern | fg::softmax()); });
  }
}
