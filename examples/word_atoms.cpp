// SPDX-License-Identifier: MIT
// Which senses does a word have? The vector of a word with several senses is close to a sum of the vectors of its
// senses (Arora et al., arXiv:1601.03764). Sparse coding of the 40,000 most frequent words finds atoms that are topics,
// and each word is a sum of a few of them. The argument is the folder of the vectors, build/glove by default.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

/// Returns the numbers of the `count` largest values, the largest first.
std::vector<Index> largest(const Eigen::VectorXf& values, Index count) {
  std::vector<Index> order(static_cast<std::size_t>(values.size()));
  std::iota(order.begin(), order.end(), Index{0});
  std::partial_sort(order.begin(), order.begin() + count, order.end(),
                    [&](Index a, Index b) { return values[a] > values[b]; });
  order.resize(static_cast<std::size_t>(count));
  return order;
}

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "build/glove";
  if (!std::filesystem::exists(folder + "/words.txt")) {
    std::printf("skipped: %s has no vectors of words; ./dev glove downloads them into build/glove\n", folder.c_str());
    return 0;
  }
  std::vector<std::string> words;
  std::ifstream file(folder + "/words.txt");
  for (std::string word; std::getline(file, word);) words.push_back(word);
  Matrix X = fg::load_npy(folder + "/vectors.npy").as<Matrix>();
  X.rowwise() -= X.colwise().mean().eval();
  X.rowwise().normalize();

  fg::thread_pool pool(2);
  const fg::coordinate_descent method{.alpha = 0.25, .non_negative = true};
  const auto start = std::chrono::steady_clock::now();
  const Matrix atoms =
      fg::online_dictionary_learning(X, method, {.atoms = 1000, .iterations = 5, .executor = fg::ExecutorRef(pool)})
          .atoms;
  const Sparse codes = fg::encode(X, atoms, method).on(pool);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  const double rest = (X - codes * atoms).squaredNorm() / X.squaredNorm();
  std::printf("%td words, %td atoms  │ %.1f atoms per word, %.0f %% of the squares remain, %.0f s\n", X.rows(),
              atoms.rows(), double(codes.nonZeros()) / double(codes.rows()), 100 * rest, time.count());

  for (const char* name : {"tie", "bank", "spring", "star", "mouse", "crane"}) {
    const Index word = std::find(words.begin(), words.end(), name) - words.begin();
    if (word == X.rows()) continue;
    const Eigen::VectorXf row = codes.row(word).transpose();
    std::printf("\n%s\n", name);
    for (const Index atom : largest(row, 4)) {
      if (!(row[atom] > 0)) break;
      std::printf("%6.2f ", row[atom]);
      for (const Index neighbor : largest(X * atoms.row(atom).transpose(), 8))
        std::printf(" %s", words[static_cast<std::size_t>(neighbor)].c_str());
      std::printf("\n");
    }
  }
}
