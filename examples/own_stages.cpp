// SPDX-License-Identifier: MIT
// How does a program define its own score map and its own selector?
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

/// Keeps the scores that are at most `margin` below the best of their row, and NaN, which no selector may lose.
struct Within {
  using Category = fg::Selector;
  double margin;

  template <fg::Real S>
  void apply(fg::Row<S>& row) const {
    S best = -std::numeric_limits<S>::infinity();
    for (Index i = 0; i < row.count; ++i) best = std::max(best, row.values[i]);
    row.filter([&](Index i) { return !(row.values[i] < best - static_cast<S>(margin)); });
  }
};

int main() {
  const Eigen::MatrixXd keys{{1, 0}, {0, 1}, {1, 1}, {1, 0}, {2, 1}}, queries = keys;
  auto A = fg::scores(queries, keys) | fg::causal() | Forgetting{.rate = 0.5} | Within{.margin = 1.0} | fg::softmax();
  const Eigen::MatrixXd weights = A;
  const Eigen::IOFormat rows(2, 0, "  ", "\n", "  ");
  std::cout << std::fixed << weights.format(rows) << "\n";
}
