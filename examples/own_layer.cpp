// SPDX-License-Identifier: MIT
// Does a layer of your own, with learned parameters, learn a periodic function?
#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <iostream>

namespace fg = filigree;
using fg::Index;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// x + sin²(a x) / a, with a parameter a for each column. Reference  Ziyin et al., arXiv:2006.08195, equation 3
struct Snake {
  using Category = fg::Layer;
  Index width;

  Index outputs(Index columns) const {
    if (columns != width) throw fg::Error("snake: wrong number of columns");
    return width;
  }
  Index parameter_count() const { return width; }
  Index weight_count() const { return 0; }  // no weight decay
  template <fg::Real S>
  void initialize(S* a, fg::Generator&) const {
    std::fill_n(a, width, S(1));
  }

  template <fg::Real S>
  struct State {
    void forward(const Snake&, fg::Context<S>& context) {
      const S* a = context.parameters;
      const auto x = context.inputs();
      auto y = context.make_outputs(x.cols());
      context.for_each_rows([&](Index first, Index last) {  // in parallel
        for (Index i = first; i < last; ++i)
          for (Index j = 0; j < x.cols(); ++j) y(i, j) = x(i, j) + std::pow(std::sin(a[j] * x(i, j)), 2) / a[j];
      });
    }
    fg::Gradient<S> backward(const Snake&, fg::Context<S>& context) {
      const S* a = context.parameters;
      const auto x = context.inputs();
      auto d = context.writable_output_gradient();  // becomes the gradient with respect to the inputs
      for (Index j = 0; j < x.cols(); ++j) {
        context.gradient[j] = 0;
        for (Index i = 0; i < x.rows(); ++i) {
          const S z = a[j] * x(i, j), sine = std::sin(z), twice = std::sin(2 * z);
          context.gradient[j] += d(i, j) * (z * twice - sine * sine) / (a[j] * a[j]);
          d(i, j) *= 1 + twice;
        }
      }
      return {.dense = d.data()};
    }
  };
};

int main() {
  const Matrix x = Eigen::VectorXd::LinSpaced(400, -6, 6), y = x.array().sin().matrix();
  auto net = fg::network(fg::linear<double>(1, 16) | Snake{16} | fg::residual(fg::linear<double>(16, 16) | Snake{16}) |
                             fg::linear<double>(16, 1),
                         1);

  // The derivative in a random direction, by differences.
  const auto [loss, gradient] = fg::loss_and_gradient(net, x, y, fg::squared_error());
  const Eigen::VectorXd direction = Eigen::VectorXd::LinSpaced(gradient.size(), -1, 1), start = net.parameters();
  const auto loss_at = [&](double t) {
    net.parameters() = start + t * direction;
    return fg::loss_and_gradient(net, x, y, fg::squared_error()).loss;
  };
  const double difference = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
  net.parameters() = start;
  std::cout << "the gradient is " << (std::abs(gradient.dot(direction) / difference - 1) < 1e-6 ? "right" : "wrong");

  const auto report = fg::fit(net, x, y, fg::squared_error(), fg::adam{.rate = 0.01}, {.epochs = 300, .batch = 50});
  std::cout << "\nthe error after training is " << (report.losses.back() < 0.01 ? "below" : "above") << " 0.01\n";
}
