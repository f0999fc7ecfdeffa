// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("gradients of layer_norm match finite differences") {
  Random random(731);
  for (const Index n : {1, 3, 130}) {
    const Matrix<double> x = test::normal<double>(random, n, 6), y = test::normal<double>(random, n, 4);
    auto net = fg::network(fg::linear<double>(6, 5) | fg::layer_norm<double>(5) | fg::gelu() |
                               fg::linear<double>(5, 4) | fg::layer_norm<double>(4, 0.1),
                           2);
    net.parameters() += 0.3 * test::normal<double>(random, net.parameters().size(), 1);
    fg::Pass pass(net);
    Eigen::VectorXd gradient;
    pass.gradient(net, x, y, fg::squared_error(), gradient);
    auto moved = net;
    const Eigen::VectorXd expected = test::differences(
        [&](const Eigen::VectorXd& parameters) {
          moved.parameters() = parameters;
          return pass.loss(moved, x, y, fg::squared_error());
        },
        net.parameters(), 1e-3);
    CHECK(test::relative(gradient, expected) < 1e-7);
    fg::thread_pool pool(3);
    fg::Pass other(net, fg::ExecutorRef(pool));
    Eigen::VectorXd same;
    other.gradient(net, x, y, fg::squared_error(), same);
    CHECK(test::same(same, gradient));
  }
}

TEST_CASE("layer_norm gives each sample mean 0 and variance 1, and rejects invalid arguments") {
  Random random(732);
  const Matrix<float> x = 100 * test::normal<float>(random, 20, 30);
  auto net = fg::network(fg::layer_norm(30));
  const Matrix<float> y = net(x);
  for (Index i = 0; i < 20; ++i) {
    CHECK(std::abs(y.row(i).mean()) < 1e-6);
    CHECK(y.row(i).squaredNorm() / 30 == Approx(1).epsilon(1e-5));
    const Eigen::RowVectorXd centered = x.row(i).cast<double>().array() - x.row(i).cast<double>().mean();
    CHECK((y.row(i).cast<double>() - centered / std::sqrt(centered.squaredNorm() / 30 + 1e-5)).norm() < 1e-5);
  }
  const Matrix<float> constant = Matrix<float>::Constant(1, 30, 7);
  CHECK((net(constant).array() == 0).all());
  CHECK_THROWS_WITH(fg::layer_norm(0), "filigree: layer_norm(width): width must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::layer_norm(3, 0),
                    "filigree: layer_norm(width, epsilon): epsilon must be positive and finite, got 0");
  CHECK_THROWS_WITH(fg::network(fg::linear(4, 5) | fg::layer_norm(6)),
                    "filigree: layer_norm(6): gets 5 columns from the stage before it, not 6");
}

TEST_CASE(
    "losses of more samples than fit into the cache are right after a last layer that takes all samples at once") {
  Random random(733);
  const Index n = 1000, width = 128;  // the outputs have more than 768 KB
  const Matrix<double> x = test::normal<double>(random, n, width), y = test::normal<double>(random, n, width);
  const auto check = [&](const auto& net) {
    const Matrix<double> rest = net(x) - y;
    fg::Pass pass(net);
    CHECK(pass.loss(net, x, y, fg::squared_error()) == Approx(rest.squaredNorm() / n));
    Eigen::VectorXd gradient;
    CHECK(pass.gradient(net, x, y, fg::squared_error(), gradient) == Approx(rest.squaredNorm() / n));
    const Eigen::VectorXd expected = 2. / n * rest.colwise().sum().transpose();  // that of the last biases
    CHECK(test::relative(Eigen::VectorXd(gradient.tail(width)), expected) < 1e-12);
  };
  check(fg::network(fg::layer_norm<double>(width)));
  check(fg::network(fg::linear<double>(width, width) | fg::layer_norm<double>(width)));
  check(fg::network(fg::repeat(2, fg::residual(fg::linear<double>(width, width)))));
}
