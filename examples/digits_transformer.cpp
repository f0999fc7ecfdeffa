// SPDX-License-Identifier: MIT
// Can a transformer read digits row by row? Each handwritten digit is a sequence of 8 tokens, its rows of pixels. In
// two layers each token attends to 3 of them, and then votes for a digit. digits_transformer.png shows a held-out
// digit, and next to each of its rows the rows that it attends to, in the four heads of the first layer.
//
//   digits_transformer [epochs]
#include <cstdio>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "digits_data.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include "digits_picture.hpp"

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

constexpr Index d = 48, head_count = 4;  // features of a token, heads

/// Draws a digit and the weights of attention of its rows in the first layer.
template <class Net, class Head>
void draw_attention(const Net& net, const Matrix& pixels, const Head& head, const std::string& path) {
  // The first layers of the transformer layer compute the queries and keys of its heads.
  auto projections = fg::network(fg::layer_norm(d) | fg::linear(d, 3 * d));
  projections.parameters() = net.parameters().segment(net.offset(2), projections.parameters().size());
  const Matrix x = projections(net.template before<2>(fg::Batch{tokens_of(pixels), {8}}));

  constexpr int dot = 16, side = 8 * dot, margin = 16;
  Canvas canvas((head_count + 1) * (side + margin) + margin, side + 2 * margin);
  const auto matrix = [&](Index place, const auto& ink) {  // from 0 to 1
    const auto left = static_cast<int>(margin + place * (side + margin));
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < 8; ++j) {
        const auto gray = static_cast<unsigned char>(255 - 255 * ink(i, j));
        canvas.fill(left + j * dot, margin + i * dot, dot, dot, {gray, gray, gray});
      }
  };
  matrix(0, Eigen::Map<const Matrix>(pixels.data(), 8, 8) / 16);
  constexpr Index width = d / head_count;
  for (Index i = 0; i < head_count; ++i) {
    const Matrix q = x.middleCols(i * width, width), k = x.middleCols(d + i * width, width);
    matrix(i + 1, Matrix(fg::scores(q, k) | head));
  }
  canvas.write_png(path);
}

int main(int count, char** words) {
  const Index epochs = count > 1 ? std::atoi(words[1]) : 8;
  const Digits digits = shuffled(read_digits(FILIGREE_DIGITS));
  constexpr Index train = 1440;
  const Index test = digits.count() - train;
  const Matrix first = digits.pixels.topRows(train), rest = digits.pixels.bottomRows(test);
  Matrix pixels(5 * train, 64);  // each digit also moved by one pixel in four directions
  pixels << first, moved(first, 1, 0), moved(first, -1, 0), moved(first, 0, 1), moved(first, 0, -1);
  Matrix labels(8 * pixels.rows(), 10);  // of each token
  for (Index i = 0; i < labels.rows(); ++i) labels.row(i) = digits.labels.row(i / 8 % train);

  const auto head = fg::top_k(3) | fg::softmax();
  const auto layer = fg::transformer_layer(d, fg::heads{head_count}, 2 * d, head, {.dropout = 0.1});
  auto net = fg::network(fg::linear(8, d) | fg::positions::learned(8, d) | fg::repeat(2, layer) | fg::layer_norm(d) |
                         fg::linear(d, 10));
  const fg::Batch seen{tokens_of(pixels), std::vector<Index>(5 * train, 8)};
  const fg::Batch held_out{tokens_of(rest), std::vector<Index>(static_cast<std::size_t>(test), 8)};
  fg::thread_pool pool(2);
  const fg::fit_options options = {.epochs = epochs,
                                   .batch = 40 * 8,
                                   .schedule = fg::cosine(epochs * 5 * train / 40, 50),
                                   .executor = fg::ExecutorRef(pool)};
  const auto report = fg::fit(net, seen, labels, fg::cross_entropy(), fg::adamw{.rate = 0.004}, options);

  draw_attention(net, rest.topRows(1), head, "digits_transformer.png");
  std::printf("%td parameters, trained on %td digits and their shifts\n", net.parameters().size(), train);
  const double right = accuracy(net(held_out), digits, train);
  std::printf("at least %d %% of %td other digits are right: %s  │ %.1f %%, loss %.3f\n", epochs < 8 ? 90 : 97, test,
              right >= (epochs < 8 ? 90 : 97) ? "yes" : "no", right, report.losses.back());
  std::printf("digits_transformer.png shows which rows the rows of a digit attend to\n");
}
