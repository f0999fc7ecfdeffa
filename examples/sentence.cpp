// SPDX-License-Identifier: MIT
// Which words of a sentence are similar? Each word is a query and a key: a vector with the count of each letter. A
// score is the number of common letters. A word attends to the words that have more than one letter in common with it.
#include <array>
#include <cctype>
#include <filigree/filigree.hpp>
#include <iomanip>
#include <iostream>
#include <string_view>

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

int main() {
  constexpr std::array<std::string_view, 6> words{"The", "cat", "sat", "on", "the", "mat"};
  Matrix letters = Matrix::Zero(6, 26);
  for (std::size_t i = 0; i < words.size(); ++i)
    for (const char c : words[i]) ++letters(static_cast<Eigen::Index>(i), std::tolower(c) - 'a');

  const Sparse weights = fg::scores(letters, letters, 1.0) | fg::threshold(1) | fg::softmax();

  std::cout << std::fixed << std::setprecision(2) << "     ";
  for (const std::string_view word : words) std::cout << std::setw(6) << word;
  for (Eigen::Index i = 0; i < weights.rows(); ++i) {
    std::cout << "\n" << std::setw(5) << words[static_cast<std::size_t>(i)];
    for (Eigen::Index j = 0; j < weights.cols(); ++j)
      if (const float weight = weights.coeff(i, j); weight > 0)
        std::cout << std::setw(6) << weight;
      else
        std::cout << std::setw(6) << '.';
  }
  std::cout << "\n\n" << weights.nonZeros() << " of 36 weights are stored.\n";
}
