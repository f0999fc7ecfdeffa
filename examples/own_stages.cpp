// SPDX-License-Identifier: MIT
// How does a program add a score map, a selector, a normalizer and a layer of its own?
#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <iostream>
#include <limits>

namespace fg = filigree;
using fg::Index;

/// Lowers the scores of keys in proportion to the logarithm of their age, as human memory does.
struct Forgetting {
  using Category = fg::ScoreMap;
  double rate;

  template <fg::Real S>
  S map(S s, Index p, Index j, const fg::Grid&) const {
    return j < p ? s - static_cast<S>(rate) * std::log(static_cast<S>(p - j)) : s;
  }
};

/// Raises the scores of keys in the same block of b positions as the query.
struct SameBlockBonus {
  using Category = fg::ScoreMap;
  Index b;
  double bonus;

  template <fg::Real S>
  S map(S s, Index p, Index j, const fg::Grid&) const {
    return fg::floor_div(p, b) == fg::floor_div(j, b) ? s + static_cast<S>(bonus) : s;
  }
  // Visits only the keys of the block. -inf + bonus is -inf.
  template <fg::Real S>
  void map_tile(const fg::ScoreTile<S>& tile) const {
    for (Index r = 0; r < tile.queries; ++r) {
      const Index first = fg::floor_div(tile.p + r, b) * b;
      const Index begin = std::max(first, tile.j), end = std::min(first + b, tile.j + tile.keys);
      for (Index j = begin; j < end; ++j) tile.row(r)[j - tile.j] += static_cast<S>(bonus);
    }
  }
};

/// Keeps the scores that are at most `margin` below the best of their row, and NaN, which no selector may lose.
struct Within {
  using Category = fg::Selector;
  static constexpr bool passes_gradient = true;
  double margin;

  template <fg::Real S>
  void apply(fg::Row<S>& row) const {
    S best = -std::numeric_limits<S>::infinity();
    for (Index i = 0; i < row.count; ++i) best = std::max(best, row.values[i]);
    row.filter([&](Index i) { return !(row.values[i] < best - static_cast<S>(margin)); });
  }
};

/// Gives positive scores weights in proportion to their squares, and drops the others. NaN makes its row NaN.
struct SquareShares {
  using Category = fg::Normalizer;

  template <fg::Real S>
  void apply(fg::Row<S>& row) const {
    row.filter([&](Index i) { return !(row.values[i] <= 0); });
    S sum = 0;
    for (Index i = 0; i < row.count; ++i) sum += row.values[i] * row.values[i];
    for (Index i = 0; i < row.count; ++i) row.values[i] *= row.values[i] / sum;
  }
  // With w = s^2 / sum: dL/ds = 2 s / sum (d - sum of w d) for d = dL/dw.
  template <fg::Real S>
  void backward(const fg::Row<S>& in, const fg::Row<S>& out, S* d) const {
    S sum = 0, mean = 0;
    for (Index i = 0; i < out.count; ++i) sum += in.values[i] * in.values[i], mean += out.values[i] * d[i];
    for (Index i = 0; i < out.count; ++i) d[i] = 2 * in.values[i] / sum * (d[i] - mean);
  }
};

/// log(1 + exp(x)). A map with a derivative is a layer of networks, too.
struct Softplus {
  using Category = fg::ScoreMap;

  template <fg::Real S>
  S map(S x, Index, Index, const fg::Grid&) const {
    return std::max(x, S(0)) + std::log1p(std::exp(-std::abs(x)));
  }
  template <fg::Real S>
  S derivative(S x, S) const {
    return 1 / (1 + std::exp(-x));
  }
};

/// Returns true if the gradient of a network with the stage is that by differences, in a fixed direction.
template <class Stage>
static bool has_right_gradient(const Stage& stage) {
  Eigen::MatrixXd x(40, 3), y(40, 2);
  fg::Generator random(2);
  for (auto* X : {&x, &y}) fg::fill_normal(*X, random);
  auto net = fg::network(fg::linear<double>(3, 6) | stage | fg::linear<double>(6, 2), 1);
  const auto [loss, gradient] = fg::loss_and_gradient(net, x, y, fg::squared_error());
  const Eigen::VectorXd direction = Eigen::VectorXd::LinSpaced(gradient.size(), -1, 1), start = net.parameters();
  const auto loss_at = [&](double t) {
    net.parameters() = start + t * direction;
    return fg::loss_and_gradient(net, x, y, fg::squared_error()).loss;
  };
  const double difference = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6;
  return std::abs(gradient.dot(direction) / difference - 1) < 1e-6;
}

int main() {
  const Eigen::MatrixXd keys{{1, 0}, {0, 1}, {1, 1}, {1, 0}, {2, 1}}, queries = keys;
  auto A = fg::scores(queries, keys) | fg::causal() | Forgetting{.rate = 0.5} | Within{.margin = 1.0} | fg::softmax();
  const Eigen::MatrixXd weights = A;
  const Eigen::IOFormat rows(2, 0, "  ", "\n", "  ");
  std::cout << std::fixed << weights.format(rows) << "\n\n";

  // A lambda says the same as the map with tiles.
  const auto bonus = fg::map([](double s, Index p, Index j) { return p / 2 == j / 2 ? s + 0.5 : s; });
  const Eigen::MatrixXd by_tiles = fg::scores(queries, keys) | SameBlockBonus{.b = 2, .bonus = 0.5} | fg::softmax();
  const Eigen::MatrixXd by_scores = fg::scores(queries, keys) | bonus | fg::softmax();
  std::cout << "maps: " << (by_tiles == by_scores ? "equal" : "different") << "\n\n";

  const Eigen::MatrixXd shares = fg::scores(queries, keys) | fg::causal() | SquareShares{};
  std::cout << shares.format(rows) << "\n\n";

  const auto network = fg::network(fg::linear<double>(2, 3) | Softplus{});
  const Eigen::MatrixXd outputs = network(keys);
  std::cout << outputs.rows() << "x" << outputs.cols() << " outputs, the least of them is "
            << (outputs.minCoeff() > 0 ? "positive" : "not positive") << "\n";

  // Each stage with a gradient is a layer, which is how a program can check the gradient.
  std::cout << "gradients: softplus " << (has_right_gradient(Softplus{}) ? "right" : "wrong") << ", square shares "
            << (has_right_gradient(SquareShares{}) ? "right" : "wrong") << ", within "
            << (has_right_gradient(Within{.margin = 1.0}) ? "right" : "wrong") << "\n";
}
