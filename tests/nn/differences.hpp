// SPDX-License-Identifier: MIT
// Gradients by finite differences of fourth order: f'(0) h = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 + O(h^5).
#pragma once

#include <Eigen/Core>
#include <algorithm>

namespace test {

/// Returns the gradient of f at x. Steps of h must be small compared to the scale on which f changes.
template <class F>
Eigen::VectorXd differences(F&& f, const Eigen::VectorXd& x, double h = 1e-3) {
  Eigen::VectorXd gradient(x.size()), moved = x;
  const auto at = [&](Eigen::Index i, double step) {
    moved[i] = x[i] + step;
    const double value = f(moved);
    moved[i] = x[i];
    return value;
  };
  for (Eigen::Index i = 0; i < x.size(); ++i)
    gradient[i] = (8 * (at(i, h) - at(i, -h)) - (at(i, 2 * h) - at(i, -2 * h))) / (12 * h);
  return gradient;
}

/// Returns the largest difference of x and y, relative to the largest magnitude in y.
template <class A, class B>
double relative(const Eigen::DenseBase<A>& x, const Eigen::DenseBase<B>& y) {
  const Eigen::ArrayXXd a = x, b = y;
  return (a - b).abs().maxCoeff() / std::max(b.abs().maxCoeff(), 1e-300);
}

}  // namespace test
