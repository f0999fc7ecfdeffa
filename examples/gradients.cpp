// SPDX-License-Identifier: MIT
// Do gradients agree with differences? The gradients by all entries of K of a pipeline with a selector are compared
// with differences of fourth order, at the points where the choice of the selector does not change.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filigree/filigree.hpp>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  constexpr Index n = 90, m = 120, d = 8, dv = 4;
  fg::Generator generator(7, 0);
  const auto normal = [&](Index rows, Index cols) {
    Matrix x(rows, cols);
    fg::fill_normal(x, generator);
    return x;
  };
  const Matrix Q = normal(n, d), V = normal(m, dv), dO = normal(n, dv);
  Matrix K = normal(m, d);
  const auto A = fg::scores(Q, K) | fg::causal() | fg::alibi(0.1) | fg::top_k(4) | fg::softmax({.sink = 0.5});

  // L is the sum of the entries of O = A * V, weighted by dO.
  const auto loss = [&] { return (Matrix(A * V).array() * dO.array()).sum(); };
  const auto gradients = fg::gradients(A * V, dO);
  std::printf("dL / dslope = %.6f, dL / dsink = %.6f\n", gradients.parameters<1>()[0], gradients.parameters<3>()[0]);

  // The same in two steps: the forward pass keeps what the backward pass needs.
  const auto saved = fg::forward(A * V);
  const auto [dQ, dK, dV] = fg::backward(saved, dO);
  std::printf("from the saved forward pass: %s\n", dK.isApprox(gradients.k, 1e-14) ? "the same gradients" : "WRONG");

  const auto kept = fg::selected(A).columns;
  Index compared = 0, changed = 0;
  double largest = 0;
  for (Index j = 0; j < m; ++j)
    for (Index f = 0; f < d; ++f) {
      const double before = K(j, f), step = 4e-3;
      bool same = true;
      const auto loss_at = [&](double by) {
        K(j, f) = before + by;
        same = same && fg::selected(A).columns == kept;
        return loss();
      };
      const double difference =
          (loss_at(-2 * step) - 8 * loss_at(-step) + 8 * loss_at(step) - loss_at(2 * step)) / (12 * step);
      K(j, f) = before;
      if (!same) {
        ++changed;
        continue;
      }
      ++compared;
      largest = std::max(largest, std::abs(difference - dK(j, f)));
    }
  std::printf("%d entries of K: the choice of top_k changes at %d; %s at the other %d\n", static_cast<int>(m * d),
              static_cast<int>(changed), largest < 1e-7 ? "all differences are below 1e-7" : "WRONG",
              static_cast<int>(compared));
}
