// SPDX-License-Identifier: MIT
// Can attention that knows nothing but distances recognize digits? A digit is a sequence of 64 pixels. For each label,
// a head predicts every pixel from the other ones, weighted by their distance in the sequence alone. The label is that
// of the head that predicts best. The weights are learned by gradient descent on the tables of relative_bias.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filigree/filigree.hpp>
#include <string>
#include <vector>

#include "digits_data.hpp"

namespace fg = filigree;
using Eigen::Index;
using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index pixels = 64, labels = 10, farthest = pixels - 1, distances = 2 * farthest + 1;

/// The tables of all labels, a row each: entry `farthest` + j - p belongs to pixel p and another pixel j.
using Tables = Doubles;

/// Returns the predictions of all labels side by side, for images that are columns. There are no queries and keys to
/// compare: scores are 0 before the bias is added.
auto predictions(const Tables& tables, const Doubles& no_queries, const Doubles& no_keys, const Doubles& images) {
  return fg::multi_head(fg::heads{labels, 1}, no_queries, no_keys, images, [&tables](Index label) {
    return (!fg::window(0)) | fg::relative_bias(Eigen::VectorXd(tables.row(label))) | fg::softmax();
  });
}

/// Returns the squared errors of the predictions: a row for each image, a column for each label.
Doubles squared_errors(const Doubles& predicted, const Doubles& images) {
  Doubles errors(images.cols(), labels);
  for (Index label = 0; label < labels; ++label)
    errors.col(label) = (predicted.middleCols(label * images.cols(), images.cols()) - images).colwise().squaredNorm();
  return errors;
}

/// Returns the percentage of images whose label has the smallest error.
double accuracy(const Doubles& errors, const Digits& digits, Index first) {
  Index right = 0;
  for (Index i = 0; i < errors.rows(); ++i) {
    Index best = 0;
    errors.row(i).minCoeff(&best);
    right += best == digits.label(first + i) ? 1 : 0;
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(errors.rows());
}

/// Prints what the tables of some labels say of near pixels: a distance of 8 is one pixel down. The largest bias is ██;
/// each lighter shade is lower by 1, so that its weight is smaller by a factor of e.
void print_tables(const Tables& tables, const std::vector<Index>& shown) {
  static constexpr const char* shade[] = {"██", "▓▓", "▒▒", "░░", "  "};
  constexpr Index reach = 3, side = 8;
  for (Index dy = -reach; dy <= reach; ++dy) {
    std::string line;
    for (const Index label : shown) {
      const auto near = tables.row(label).segment<2 * (side + 1) * reach + 1>(farthest - (side + 1) * reach);
      for (Index dx = -reach; dx <= reach; ++dx) {
        const double lower = near.maxCoeff() - near[(side + 1) * reach + side * dy + dx];
        line += dx == 0 && dy == 0 ? "><" : shade[static_cast<std::size_t>(std::min(lower + 0.5, 4.0))];
      }
      line += "    ";
    }
    std::printf("%s\n", line.substr(0, line.find_last_not_of(' ') + 1).c_str());
  }
}

int main() {
  const Digits digits = read_digits(FILIGREE_DIGITS);
  constexpr Index train = 1000;
  const Doubles all = digits.pixels.transpose().cast<double>() / 16.0;
  const Doubles images = all.leftCols(train), others = all.rightCols(digits.count() - train);
  const Doubles one_hot = digits.labels.topRows(train).cast<double>();
  const Doubles no_queries = Doubles::Zero(pixels, labels), no_keys = Doubles::Zero(pixels, 1);

  Tables tables = Tables::Zero(labels, distances), mean = tables, square = tables;
  const auto report = [&](const char* when) {
    const Doubles predicted = predictions(tables, no_queries, no_keys, others);
    std::printf("%s %5.1f %% of %d other digits\n", when, accuracy(squared_errors(predicted, others), digits, train),
                static_cast<int>(others.cols()));
  };
  report("before learning:");
  for (int step = 1; step <= 80; ++step) {
    const auto product = predictions(tables, no_queries, no_keys, images);
    const Doubles predicted = product;
    // L is the cross-entropy of softmax(-errors) and the labels.
    const Doubles errors = squared_errors(predicted, images);
    Doubles likely = (-(errors.colwise() - errors.rowwise().minCoeff())).array().exp();
    likely.array().colwise() /= likely.rowwise().sum().eval().array();
    const Doubles d_errors = (one_hot - likely) / static_cast<double>(train);
    Doubles d_predicted = predicted;
    for (Index label = 0; label < labels; ++label) {
      auto part = d_predicted.middleCols(label * train, train);
      part = 2 * (part - images) * d_errors.col(label).asDiagonal();
    }
    const auto gradients = fg::gradients(product, d_predicted);
    for (Index label = 0; label < labels; ++label) {  // Adam
      const Eigen::ArrayXXd g = gradients.parameters<1>(label).transpose();
      mean.row(label) = 0.9 * mean.row(label).array() + 0.1 * g;
      square.row(label) = 0.999 * square.row(label).array() + 0.001 * g.square();
    }
    tables.array() -=
        0.1 / (1 - std::pow(0.9, step)) * mean.array() / ((square / (1 - std::pow(0.999, step))).array().sqrt() + 1e-8);
  }
  report("after learning: ");
  std::printf("\nbiases of the heads for 0, 1, 4 and 7 by distance from the pixel ><\n");
  print_tables(tables, {0, 1, 4, 7});
}
