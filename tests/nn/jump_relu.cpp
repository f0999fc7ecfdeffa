// SPDX-License-Identifier: MIT
// jump_relu, l0 and the stages after them. tests/parity checks the values.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// Returns a model with few values above their thresholds and some near them.
auto model(Index in, Index latents) {
  auto sae = fg::autoencoder(fg::linear<double>(in, latents) | fg::jump_relu<double>(latents, {.bandwidth = 0.2}) |
                                 fg::penalize(0.01 * fg::l0()),
                             fg::linear<double>(latents, in), 5);
  sae.biases<1>().setConstant(1.75);
  return sae;
}

}  // namespace

TEST_CASE("jump_relu keeps values above its thresholds and has straight-through gradients") {
  Random random(671);
  const Matrix<double> x = test::normal<double>(random, 80, 16), w = test::normal<double>(random, 16, 300) / 4;
  auto sae = model(16, 300);
  sae.weights<0>() = w;
  fg::Pass pass(sae);
  Eigen::VectorXd gradient;
  pass.gradient(sae, x, x, fg::squared_error(), gradient);
  const Matrix<double> z = x * w, codes = sae.encode(x);
  CHECK((codes - Matrix<double>((z.array() > 1.75).select(z, 0.0))).norm() < 1e-13 * codes.norm());
  CHECK(fg::l0(codes) < 300.0 / 16);

  const Matrix<double> w2 = sae.weights<3>(), d_out = 2 * (codes * w2 - x) / 80, d_a = d_out * w2.transpose();
  const Matrix<double> d_z = (z.array() > 1.75).select(d_a, 0.0);
  const Matrix<double> near = ((z.array() - 1.75).abs() < 0.1).cast<double>();
  const Eigen::VectorXd by_theta =
      -1 / 0.2 * (near.array() * (1.75 * d_a.array() + 0.01 / 80)).colwise().sum().transpose();
  const Matrix<double> d_w = x.transpose() * d_z;
  CHECK((Eigen::Map<const Matrix<double>>(gradient.data(), 16, 300) - d_w).norm() < 1e-12 * d_w.norm());
  CHECK((gradient.segment(sae.offset(1), 300) - by_theta).norm() < 1e-12 * by_theta.norm());

  fg::thread_pool pool(3);
  fg::Pass other(sae, fg::ExecutorRef(pool));
  Eigen::VectorXd same;
  other.gradient(sae, x, x, fg::squared_error(), same);
  CHECK(test::same(same, gradient));
}

TEST_CASE("the default bandwidth of jump_relu equals the threshold") {
  Random random(673);
  const Matrix<double> x = test::normal<double>(random, 60, 5);
  auto sae = fg::autoencoder(fg::linear<double>(5, 40) | fg::jump_relu<double>(40) | fg::penalize(0.01 * fg::l0()),
                             fg::linear<double>(40, 5), 5);
  for (Index j = 0; j < 40; ++j) sae.biases<1>()[j] = 0.02 * static_cast<double>(j);  // one of them is 0
  fg::Pass pass(sae);
  Eigen::VectorXd gradient;
  pass.gradient(sae, x, x, fg::squared_error(), gradient);
  const Matrix<double> z = sae.before<1>(x), codes = sae.encode(x);
  const Matrix<double> d_a = 2 * (sae(x) - x) / 60 * sae.weights<3>().transpose();
  for (Index j = 0; j < 40; ++j) {
    const double theta = sae.biases<1>()[j];
    double expected = 0;
    for (Index i = 0; i < 60; ++i)
      if (std::abs(z(i, j) - theta) < theta / 2) expected -= (theta * d_a(i, j) + 0.01 / 60) / theta;
    CHECK(gradient[sae.offset(1) + j] == Approx(expected).margin(1e-14));
  }
}

TEST_CASE("l0 counts nonzero latents and has gradient 0 without a jump_relu right before it") {
  Random random(672);
  const Matrix<double> x = test::normal<double>(random, 50, 6);
  const auto relu = fg::network(fg::linear<double>(6, 9) | fg::relu() | fg::penalize(fg::l0()), 2);
  const Matrix<double> none = Matrix<double>::Zero(50, 9);
  fg::Pass pass(relu);
  Eigen::VectorXd gradient, without;
  const double value = pass.gradient(relu, x, none, 0.0 * fg::squared_error(), gradient);
  CHECK(value == Approx(fg::l0(relu(x))));
  CHECK((gradient.array() == 0).all());
}

TEST_CASE("top_k after jump_relu selects from the values above the thresholds") {
  Random random(673);
  const Matrix<double> x = test::normal<double>(random, 40, 8);
  auto sae = fg::autoencoder(
      fg::linear<double>(8, 200) | fg::jump_relu<double>(200, {.theta = 0.3, .bandwidth = 0.1}) | fg::top_k(3),
      fg::linear<double>(200, 8), 3);
  sae.weights<0>() = test::normal<double>(random, 8, 200);
  fg::Pass pass(sae);
  Eigen::VectorXd gradient;
  const double value = pass.gradient(sae, x, x, fg::squared_error(), gradient);
  const Matrix<double> codes = sae.encode(x);
  CHECK(fg::l0(codes) == 3);
  CHECK(value == Approx((codes * sae.weights<3>() - x).squaredNorm() / 40));
  CHECK((gradient.segment(sae.offset(1), 200).array() == 0).all());  // no value near a threshold is among the k largest
}

TEST_CASE("values just below their thresholds are not codes") {
  Random random(675);
  const Matrix<double> x = test::normal<double>(random, 40, 8);
  auto sae = fg::autoencoder(
      fg::linear<double>(8, 32) | fg::jump_relu<double>(32, {.theta = 0.3, .bandwidth = 0.4}) | fg::drop_lowest(0.5),
      fg::linear<double>(32, 8), 3);
  sae.weights<0>() = test::normal<double>(random, 8, 32);
  fg::Pass pass(sae);
  CHECK(pass.each_code([](Index, Index) { FAIL("there was no pass yet"); }) == 0);
  CHECK(pass.loss(sae, x, x, fg::squared_error()) == Approx((sae(x) - x).squaredNorm() / 40));
}

TEST_CASE("jump_relu keeps NaN and infinity") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  auto net = fg::network(fg::jump_relu<double>(4, {.theta = 0.5, .bandwidth = 0.1}));
  Matrix<double> x(1, 4);
  x << nan, infinity, -infinity, 0.5;
  const Matrix<double> a = net(x);
  CHECK(a(0, 0) != a(0, 0));
  CHECK(a(0, 1) == infinity);
  CHECK(a(0, 2) == 0);
  CHECK(a(0, 3) == 0);
}

TEST_CASE("jump_relu rejects invalid arguments") {
  CHECK_THROWS_WITH(fg::jump_relu(0), "filigree: jump_relu(latents): latents must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::jump_relu(3, {.theta = 0}),
                    "filigree: jump_relu(latents, {.theta}): theta must be positive and finite, got 0");
  CHECK_THROWS_WITH(fg::jump_relu(3, {.bandwidth = -1}),
                    "filigree: jump_relu(latents, {.bandwidth}): the bandwidth must be positive and finite, got -1");
  CHECK_THROWS_WITH(fg::network(fg::linear(4, 5) | fg::jump_relu(6)),
                    "filigree: jump_relu(6): gets 5 columns from the stage before it, not 6");
}

#if FILIGREE_COUNTS_ALLOCATIONS
TEST_CASE("the second pass through jump_relu allocates nothing") {
  Random random(674);
  const Matrix<double> x = test::normal<double>(random, 60, 8);
  const auto sae = model(8, 50);
  fg::Pass pass(sae);
  Eigen::VectorXd gradient;
  pass.gradient(sae, x, x, fg::squared_error(), gradient);
  CHECK(test::allocated_by([&] { pass.gradient(sae, x, x, fg::squared_error(), gradient); }) == 0);
}
#endif
