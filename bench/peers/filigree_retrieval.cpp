// SPDX-License-Identifier: MIT
// filigree_retrieval folder documents queries terms threads: reads the compressed sparse rows that retrieval.py has
// written to the folder, and makes an index of the documents. It searches all queries once for each line of its input,
// which is k, writes the documents and scores of each query to folder/found and folder/scores, and prints the time in
// seconds: CPU time with one thread, otherwise wall-clock time.

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
using Eigen::Index;

template <class T>
std::vector<T> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<T> numbers(static_cast<std::size_t>(file.tellg()) / sizeof(T));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(T)));
  return numbers;
}

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const std::string folder = argv[1];
  const long documents = std::atol(argv[2]), n = std::atol(argv[3]), terms = std::atol(argv[4]);
  const long threads = std::atol(argv[5]);
  const auto rows_of = [&](const std::string& name, Index rows) {
    const auto begins = read<int>(folder + "/" + name + "_begins"),
               columns = read<int>(folder + "/" + name + "_columns");
    const auto values = read<float>(folder + "/" + name + "_values");
    using Rows = Eigen::SparseMatrix<float, Eigen::RowMajor>;
    return Rows(Eigen::Map<const Rows>(rows, terms, static_cast<Index>(values.size()), begins.data(), columns.data(),
                                       values.data()));
  };
  const auto queries = rows_of("queries", n);
  const double built = seconds(threads == 1);
  const auto index = fg::sparse_index(rows_of("documents", documents));
  std::cerr << "index of " << index.bytes() / 1000000 << " MB in " << seconds(threads == 1) - built << " s\n";
  fg::thread_pool pool(threads);
  for (std::string line; std::getline(std::cin, line);) {
    const double start = seconds(threads == 1);
    const auto found = fg::selected((fg::sparse_scores(queries, index) | fg::top_k(std::atol(line.c_str()))).on(pool));
    const double took = seconds(threads == 1) - start;
    const auto write = [&](const char* name, const auto& x) {
      std::ofstream(folder + "/" + name, std::ios::binary)
          .write(reinterpret_cast<const char*>(x.data()), static_cast<std::streamsize>(sizeof(*x.data())) * x.size());
    };
    write("found", found.columns);
    write("scores", found.weights);
    std::cout << took << std::endl;
  }
}
