// SPDX-License-Identifier: MIT
// Can attention classify handwritten digits? Every digit attends to the k most similar other digits, and their labels
// vote: queries and keys are the images, values are the labels. Nothing is trained. (The data has many digits of each
// writer. Digits of an unknown writer would be harder.)
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <filigree/filigree.hpp>
#include <iostream>
#include <limits>
#include <map>

#include "digits_data.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include "digits_picture.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

constexpr const char* usage = R"(digits [--png file] [--data file] [--threads n]

Classifies 1797 handwritten digits by exact top-k attention to each other, prints some digits with the digits that they
attend to, and writes more of them to a picture.

  --png file    the picture (default: digits.png)
  --data file   the digits: lines of 64 pixels and a label, separated by commas
  --threads n   the number of threads (default: 1)
)";

/// Returns the percentage of digits whose votes are highest for their own label.
double accuracy(const Digits& digits, const Matrix& votes) {
  Index correct = 0;
  for (Index i = 0; i < digits.count(); ++i) correct += likeliest(votes, i) == digits.label(i) ? 1 : 0;
  return 100.0 * static_cast<double>(correct) / static_cast<double>(digits.count());
}

/// Returns the shortest time of five runs, in milliseconds.
template <class F>
double time_of(F&& f) {
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// Prints a line of the table. The values to the right of the bar depend on the machine.
template <class Selection>
void try_out(const std::string& name, Index kept, const Digits& digits, const Matrix& X, fg::thread_pool& pool,
             const Selection& selection) {
  const auto n = static_cast<double>(digits.count());
  std::printf("%5s %13.2f %%", name.c_str(), 100 * static_cast<double>(kept) / (n - 1));
  double time = 0;
  for (const double sharpness : {1.0, 10.0, 100.0}) {
    const auto A = fg::scores(X, X, sharpness) | selection | fg::softmax();
    Matrix votes;
    time = time_of([&] { votes = A.on(pool) * digits.labels; });
    std::printf("%9.1f %%", accuracy(digits, votes));
  }
  std::printf("  │%6.1f ms %5.0f M\n", time, n * n / time / 1e3);
}

void run(const std::string& data, const std::string& png, Index threads) {
  const Digits digits = read_digits(data);
  const Index n = digits.count();
  fg::thread_pool pool(threads);

  // The rows are centered and have unit norm, so that the dot product of two images is their correlation.
  Matrix X = digits.pixels.colwise() - digits.pixels.rowwise().mean();
  X.rowwise().normalize();
  const auto others = !fg::window(0);

  std::printf(
      "%d handwritten digits. Each digit attends to the k most similar other digits, with the weights\n"
      "softmax(s * correlation), and their labels vote. Accuracy for different k and s:\n\n"
      "    k    weights kept      s = 1     s = 10    s = 100  │     time   keys/s  (%s kernels, threads: %d)\n",
      static_cast<int>(n), fg::to_string(fg::instruction_set()).data(), static_cast<int>(threads));
  for (const Index k : {1, 3, 10, 30, 100, 300}) try_out(std::to_string(k), k, digits, X, pool, others | fg::top_k(k));
  try_out("all", n - 1, digits, X, pool, others);
  std::printf("\nWith a flat softmax (small s), many dissimilar digits outvote the most similar ones.\n");

  const auto A = fg::scores(X, X, 10.0) | others | fg::top_k(10) | fg::softmax();
  const Matrix votes = A * digits.labels;
  const auto selected = fg::selected(A);
  std::vector<Index> correct(10, -1), wrong;  // the first correct digit of each label, and the first mistakes
  for (Index i = 0; i < n; ++i) {
    Index& first = correct[static_cast<std::size_t>(digits.label(i))];
    if (likeliest(votes, i) != digits.label(i)) {
      if (wrong.size() < correct.size()) wrong.push_back(i);
    } else if (first < 0) {
      first = i;
    }
  }
  std::erase(correct, -1);

  if (correct.size() > 3) print_neighbors(digits, correct[3], selected);
  if (!wrong.empty()) print_neighbors(digits, wrong[0], selected);
  draw_neighbors(digits, correct, wrong, selected, png);
  std::printf("\n%s\n  shows one of each digit and some mistakes, each with the ten digits that it attends to.\n",
              std::filesystem::absolute(png).lexically_normal().c_str());
}

}  // namespace

int main(int count, char** arguments) try {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  std::string data = FILIGREE_DIGITS, png = "digits.png", threads = "1";
  const std::map<std::string, std::string*> options{{"--png", &png}, {"--data", &data}, {"--threads", &threads}};
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const auto option = options.find(words[i]);
    if (option == options.end() || i + 1 == words.size()) {
      const bool help = words[i] == "--help" || words[i] == "-h";
      (help ? std::cout : std::cerr) << usage;
      return help ? 0 : 2;
    }
    *option->second = words[i + 1];
  }
  run(data, png, std::atoi(threads.c_str()));
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
