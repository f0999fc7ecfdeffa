// SPDX-License-Identifier: MIT
// A penalty written by a user, with its gradient checked by differences.
#include <filigree/filigree.hpp>

#include <cmath>
#include <iostream>

namespace fg = filigree;
using Eigen::Index;

/// The mean over samples of the sum of log(1 + a^2): Olshausen and Field, Nature 381, 1996, the Cauchy prior.
struct Cauchy {
  using Kind = fg::Penalty;

  template <fg::Real S>
  double add(const auto& a, double factor, S* gradient, const auto& /*session*/) const {
    const double scale = factor / static_cast<double>(a.rows());
    double value = 0;
    for (Index i = 0; i < a.rows(); ++i)
      for (Index j = 0; j < a.cols(); ++j) {
        const auto x = static_cast<double>(a(i, j));
        value += scale * std::log1p(x * x);
        if (gradient != nullptr) gradient[i * a.cols() + j] += static_cast<S>(scale * 2 * x / (1 + x * x));
      }
    return value;
  }
};

int main() {
  using fg::operator*;  // C++ looks for operators in the namespaces of the operands, and Cauchy is in none
  Eigen::MatrixXd samples(64, 6);
  fg::Generator random(3);
  fg::fill_normal(samples, random);
  auto net =
      fg::network(fg::linear<double>(6, 12) | fg::tanh() | fg::penalize(0.1 * Cauchy{}) | fg::linear<double>(12, 6));
  const auto objective = fg::squared_error();

  fg::Pass pass(net);
  Eigen::VectorXd gradient(net.parameters().size());
  pass.gradient(net, samples, samples, objective, gradient);
  double largest = 0;
  constexpr double step = 1e-5;
  for (Index i = 0; i < gradient.size(); ++i) {
    const double before = net.parameters()[i];
    net.parameters()[i] = before + step;
    const double above = pass.loss(net, samples, samples, objective);
    net.parameters()[i] = before - step;
    const double below = pass.loss(net, samples, samples, objective);
    net.parameters()[i] = before;
    largest = std::max(largest, std::abs((above - below) / (2 * step) - gradient[i]));
  }
  std::cout << gradient.size() << " derivatives, all within 1e-7 of differences: " << (largest < 1e-7 ? "yes" : "no")
            << "\n";

  const double start = pass.loss(net, samples, samples, objective);
  fg::fit(net, samples, samples, objective, fg::adam{.rate = 0.01}, fg::fit_options{.epochs = 30, .batch = 16});
  std::cout << "training lowers the loss: " << (pass.loss(net, samples, samples, objective) < start ? "yes" : "no")
            << "\n";
}
