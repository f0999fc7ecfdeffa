// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Matrix;
using test::Index;

TEMPLATE_TEST_CASE("gelu_tanh agrees with PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture reference("training/gelu");
  const auto x = reference.vector<S>("x");
  parity::Vector<S> values = x | fg::gelu_tanh(), derivatives(x.size());
  for (Index i = 0; i < x.size(); ++i) derivatives[i] = fg::gelu_tanh().derivative(x[i], values[i]);
  CHECK(parity::deviation(values, reference.vector<double>("values")) <= parity::tolerance<S>);
  CHECK(parity::deviation(derivatives, reference.vector<double>("slopes")) <= parity::tolerance<S>);
}

TEMPLATE_TEST_CASE("cross_entropy with its options agrees with PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture inputs("training/cross_entropy");
  const Matrix<S> outputs = inputs.matrix<S>("outputs");
  Matrix<S> classes = Matrix<S>::Zero(outputs.rows(), outputs.cols());
  const std::vector<Index> numbers = inputs.integers("classes");
  for (Index i = 0; i < classes.rows(); ++i) classes(i, numbers[static_cast<std::size_t>(i)]) = 1;
  const auto check = [&](const std::string& name, const Matrix<S>& targets, const fg::cross_entropy_options& options) {
    CAPTURE(name);
    const Fixture expected("training/cross_entropy/" + name);
    // The network is the identity. The gradient of its weights is x' times the gradient of its outputs.
    auto net = fg::network(fg::linear<S>(outputs.cols(), outputs.cols()));
    net.parameters().setZero();
    net.template weights<0>().setIdentity();
    typename decltype(net)::Vector gradient;
    fg::Pass pass(net);
    const double loss = pass.gradient(net, outputs, targets, fg::cross_entropy(options), gradient);
    CHECK(loss == Approx(expected.vector<double>("loss")[0]).epsilon(parity::tolerance<S>));
    const Matrix<double> by_output = expected.matrix<double>("gradient");
    const Matrix<double> by_weight = outputs.template cast<double>().transpose() * by_output;
    const Eigen::Map<const Matrix<S>> got(gradient.data(), outputs.cols(), outputs.cols());
    CHECK(parity::deviation(got, by_weight) <= parity::tolerance<S>);
  };
  check("smoothed", classes, {.label_smoothing = 0.1});
  check("ignored", classes, {.ignored_class = 2});
  check("both", classes, {.label_smoothing = 0.1, .ignored_class = 2});
  check("probable", inputs.matrix<S>("chances"), {.label_smoothing = 0.1});
}

TEMPLATE_TEST_CASE("steps of optimizers agree with PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture inputs("training/optimizers");
  const auto start = inputs.vector<S>("start");
  const Matrix<S> gradients = inputs.matrix<S>("gradients");
  const auto check = [&](const std::string& name, const auto& optimizer) {
    CAPTURE(name);
    parity::Vector<S> parameters = start;
    parity::Vector<S> moments = parity::Vector<S>::Zero(fg::detail::moments_of(optimizer) * start.size());
    Matrix<S> steps(gradients.rows(), start.size());
    for (Index step = 0; step < gradients.rows(); ++step) {
      optimizer.step(
          fg::Parameters<S>{parameters.data(), gradients.row(step).data(), moments.data(), start.size(), true},
          step + 1, 1.0);
      steps.row(step) = parameters.transpose();
    }
    const Fixture expected("training/optimizers/" + name);
    CHECK(parity::deviation(steps, expected.matrix<double>("parameters")) <= parity::tolerance<S>);
  };
  check("nesterov", fg::sgd{.rate = 0.05, .momentum = 0.9, .nesterov = true});
  check("adam_amsgrad", fg::adam{.rate = 0.05, .beta1 = 0.8, .beta2 = 0.7, .amsgrad = true});
  check("adamw_amsgrad", fg::adamw{.rate = 0.05, .beta1 = 0.8, .beta2 = 0.7, .decay = 0.2, .amsgrad = true});
}
