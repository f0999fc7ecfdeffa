// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Returns the column of the largest number in row i.
inline Eigen::Index likeliest(const Matrix& votes, Eigen::Index i) {
  Eigen::Index best = 0;
  votes.row(i).maxCoeff(&best);
  return best;
}

/// Handwritten digits, one per row.
struct Digits {
  Matrix pixels;  // n x 64, from 0 (paper) to 16 (ink)
  Matrix labels;  // n x 10, one-hot

  [[nodiscard]] Eigen::Index count() const { return pixels.rows(); }
  [[nodiscard]] Eigen::Index label(Eigen::Index i) const { return likeliest(labels, i); }
};

/// Reads lines of 64 pixels and a label, separated by commas.
inline Digits read_digits(const std::string& path) {
  std::ifstream file(path);
  std::vector<float> numbers;
  for (float number = 0; file >> number; file.ignore(1)) numbers.push_back(number);
  const auto n = static_cast<Eigen::Index>(numbers.size() / 65);
  if (n < 12 || !file.eof() || numbers.size() % 65 != 0)
    throw std::runtime_error(path + ": must be a table with 64 pixels and a label in each line");
  const Eigen::Map<const Matrix> table(numbers.data(), n, 65);
  Digits digits{.pixels = table.leftCols(64), .labels = Matrix::Zero(n, 10)};
  for (Eigen::Index i = 0; i < n; ++i) digits.labels(i, static_cast<Eigen::Index>(table(i, 64))) = 1;
  return digits;
}
