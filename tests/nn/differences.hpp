// SPDX-License-Identifier: MIT
// Gradients by differences of fourth order: f'(0) h = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12, up to h^5.
#pragma once

#include <Eigen/Core>

namespace test {

/// The gradient of f at x, where f changes at most so fast that steps of h are small.
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

/// The largest difference, relative to the largest number of b.
inline double relative(const Eigen::VectorXd& a, const Eigen::VectorXd& b) {
  return (a - b).cwiseAbs().maxCoeff() / std::max(b.cwiseAbs().maxCoeff(), 1e-300);
}

}  // namespace test
