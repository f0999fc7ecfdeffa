// SPDX-License-Identifier: MIT
// Can a transformer read digits row by row? Each handwritten digit is a sequence of 8 tokens, its rows of pixels. In
// two layers each token attends to 3 of them, and then votes for a digit.
#include <cstdio>
#include <filigree/filigree.hpp>
#include <numeric>
#include <vector>

#include "digits_data.hpp"

namespace fg = filigree;
using Eigen::Index;

/// Returns the percentage of digits for which the sum of the votes of their tokens is right.
double accuracy(const Matrix& votes, const Digits& digits, Index first) {
  Index right = 0;
  const Index count = votes.rows() / 8;
  for (Index i = 0; i < count; ++i)
    right += likeliest(votes.middleRows(8 * i, 8).colwise().sum(), 0) == digits.label(first + i) ? 1 : 0;
  return 100 * static_cast<double>(right) / static_cast<double>(count);
}

/// Returns the digits in a random order, since neighbors in the file are by the same hand.
Digits shuffled(const Digits& digits) {
  std::vector<Index> order(static_cast<std::size_t>(digits.count()));
  std::iota(order.begin(), order.end(), Index{0});
  fg::Generator(1).shuffle(order);
  return {.pixels = digits.pixels(order, Eigen::all), .labels = digits.labels(order, Eigen::all)};
}

/// Returns pixel images, 8 x 8, moved by some rows and columns.
Matrix moved(const Matrix& pixels, Index down, Index right) {
  Matrix result = Matrix::Zero(pixels.rows(), 64);
  for (Index y = 0; y < 8; ++y)
    for (Index x = 0; x < 8; ++x)
      if (y >= down && y < 8 + down && x >= right && x < 8 + right)
        result.col(8 * y + x) = pixels.col(8 * (y - down) + x - right);
  return result;
}

/// Returns the rows of images as tokens.
Matrix tokens_of(const Matrix& pixels) { return Eigen::Map<const Matrix>(pixels.data(), 8 * pixels.rows(), 8) / 16; }

int main() {
  const Digits digits = shuffled(read_digits(FILIGREE_DIGITS));
  constexpr Index train = 1440, d = 48;
  const Index test = digits.count() - train;
  const Matrix first = digits.pixels.topRows(train), rest = digits.pixels.bottomRows(test);
  Matrix pixels(5 * train, 64);  // each digit also moved by one pixel in four directions
  pixels << first, moved(first, 1, 0), moved(first, -1, 0), moved(first, 0, 1), moved(first, 0, -1);
  Matrix labels(8 * pixels.rows(), 10);  // of each token
  for (Index i = 0; i < labels.rows(); ++i) labels.row(i) = digits.labels.row(i / 8 % train);

  const auto layer = fg::transformer_layer(d, fg::heads{4}, 2 * d, fg::top_k(3) | fg::softmax(), {.dropout = 0.1});
  auto net = fg::network(fg::linear(8, d) | fg::positions::learned(8, d) | fg::repeat(2, layer) | fg::layer_norm(d) |
                         fg::linear(d, 10));
  const fg::Batch seen{tokens_of(pixels), std::vector<Index>(5 * train, 8)};
  const fg::Batch held_out{tokens_of(rest), std::vector<Index>(static_cast<std::size_t>(test), 8)};
  const fg::fit_options options = {.epochs = 8, .batch = 40 * 8, .schedule = fg::cosine(8 * 5 * train / 40, 50)};
  const auto report = fg::fit(net, seen, labels, fg::cross_entropy(), fg::adamw{.rate = 0.004}, options);

  std::printf("%td parameters, trained on %td digits\n", net.parameters().size(), train);
  const double right = accuracy(net(held_out), digits, train);
  std::printf("of %td other digits, at least 97%% are right: %s  │ %.1f %%, loss %.3f\n", test,
              right >= 97 ? "yes" : "no", right, report.losses.back());
}
