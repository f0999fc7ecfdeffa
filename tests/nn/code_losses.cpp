// SPDX-License-Identifier: MIT
// Losses of codes with few kept entries. tests/parity checks their values for few latents.
#include <filigree/filigree.hpp>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// Compares some derivatives with finite differences. Biases are random, because a difference step would break ties.
template <class Net, class Objective>
void check_gradient(Net net, const Matrix<double>& x, const Objective& objective, Random& random) {
  net.parameters() = 0.3 * test::normal<double>(random, net.parameters().size(), 1);
  fg::Pass pass(net);
  Eigen::VectorXd gradient, same;
  const double value = pass.gradient(net, x, x, objective, gradient);
  CHECK(pass.loss(net, x, x, objective) == Approx(value).epsilon(1e-13));
  Net moved = net;
  const double h = 1e-6;
  for (int trial = 0; trial < 300; ++trial) {
    // Biases are among the last parameters.
    const int last = static_cast<int>(gradient.size()) - 1;
    const Index p = trial % 3 == 0 ? random.between(last - 20, last) : random.between(0, last);
    const double at = net.parameters()[p];
    moved.parameters()[p] = at + h;
    const double above = pass.loss(moved, x, x, objective);
    moved.parameters()[p] = at - h;
    const double below = pass.loss(moved, x, x, objective);
    moved.parameters()[p] = at;
    CHECK((above - below) / (2 * h) == Approx(gradient[p]).epsilon(1e-5).margin(1e-7));
  }
  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  CHECK(other.gradient(net, x, x, objective, same) == value);
  CHECK(test::same(same, gradient));
#if FILIGREE_COUNTS_ALLOCATIONS
  CHECK(test::allocated_by([&] { other.gradient(net, x, x, objective, same); }) == 0);
#endif
}

}  // namespace

TEST_CASE("gradients of matryoshka with sparse codes match finite differences") {
  Random random(711);
  const Matrix<double> x = test::normal<double>(random, 70, 9);
  const auto sae = fg::autoencoder(fg::pre_bias() | fg::linear<double>(9, 203) | fg::top_k(5) | fg::relu(),
                                   fg::linear<double>(203, 9));
  check_gradient(sae, x, fg::matryoshka({7, 50, 203}), random);
  check_gradient(sae, x, 0.5 * fg::matryoshka({1, 100}) + 0.3 * fg::squared_error(), random);
}

TEST_CASE("gradients of matryoshka with dense codes match finite differences") {
  Random random(712);
  const Matrix<double> x = test::normal<double>(random, 70, 9);
  check_gradient(fg::autoencoder(fg::linear<double>(9, 20) | fg::tanh() | fg::penalize(0.1 * fg::flops()),
                                 fg::linear<double>(20, 9)),
                 x, fg::matryoshka({3, 8, 20}), random);
}

TEST_CASE("matryoshka with one prefix of all latents equals squared_error") {
  Random random(713);
  const Matrix<double> x = test::normal<double>(random, 40, 6);
  const auto sae = fg::autoencoder(fg::linear<double>(6, 64) | fg::top_k(3), fg::linear<double>(64, 6));
  fg::Pass pass(sae);
  Eigen::VectorXd nested, plain;
  CHECK(pass.gradient(sae, x, x, fg::matryoshka({64}), nested) ==
        Approx(pass.gradient(sae, x, x, fg::squared_error(), plain)));
  CHECK((nested - plain).norm() < 1e-13 * plain.norm());
  CHECK(pass.gradient(sae, x.topRows(0), x.topRows(0), fg::matryoshka({64}), nested) == 0);
  CHECK((nested.array() == 0).all());
}

TEST_CASE("losses of a gated autoencoder have the same bits for any number of threads and can be trained") {
  Random random(714);
  const Matrix<double> x = test::normal<double>(random, 70, 9);
  const auto sae = fg::autoencoder(fg::pre_bias() | fg::gated<double>(9, 150), fg::linear<double>(150, 9));
  const auto rest = 0.1 * fg::gate_l1() + fg::matryoshka({30, 150});
  // gate_reconstruction treats the decoder as constant, so finite differences do not match its gradient.
  check_gradient(sae, x, rest, random);

  auto sparse = sae;
  sparse.biases<1>().head(150).setConstant(-3);  // most gates are closed
  fg::Pass pass(sparse);
  Eigen::VectorXd gradient, same;
  const auto objective = fg::squared_error() + 0.1 * fg::gate_l1() + fg::gate_reconstruction();
  sparse.weights<1>() = test::normal<double>(random, 9, 150) / 2;
  CHECK(fg::l0(sparse.encode(x)) < 150.0 / 16);
  const double value = pass.gradient(sparse, x, x, objective, gradient);
  fg::thread_pool pool(3);
  fg::Pass other(sparse, fg::ExecutorRef(pool));
  CHECK(other.gradient(sparse, x, x, objective, same) == value);
  CHECK(test::same(same, gradient));

  const auto report = fg::fit(sparse, x, objective, fg::adam{.rate = 0.01}, {.epochs = 30, .batch = 10});
  CHECK(report.losses.back() < report.losses.front());
}

TEST_CASE("aux_k revives dead latents") {
  Random random(715);
  const Matrix<double> x = test::normal<double>(random, 200, 8);
  const auto train = [&](const auto& objective, fg::ExecutorRef executor) {
    auto sae = fg::autoencoder(fg::pre_bias() | fg::linear<double>(8, 60) | fg::top_k(2) | fg::relu(),
                               fg::linear<double>(60, 8).unit_norm_rows(), 4);
    sae.biases<1>().head(30).setConstant(-3);  // rarely among the k largest
    Index dead = 0;
    fg::fit(sae, x, objective, fg::adam{.rate = 0.03},
            {.epochs = 60,
             .batch = 20,
             .after_epoch =
                 [&](const auto& epoch) {
                   dead = epoch.dead_latents;
                   return true;
                 },
             .executor = executor});
    return std::pair(dead, sae.parameters());
  };
  const fg::ExecutorRef serial(fg::serial());
  const auto auxiliary = fg::squared_error() + 0.5 * fg::aux_k(8, {.after = 100});
  const Index before = train(fg::squared_error(), serial).first;
  const auto [after, parameters] = train(auxiliary, serial);
  CAPTURE(before, after);
  CHECK(before >= 20);
  CHECK(after <= before - 10);
  fg::thread_pool pool(3);
  CHECK(test::same(train(auxiliary, fg::ExecutorRef(pool)).second, parameters));
}

TEST_CASE("a later pass with aux_k allocates nothing, and aux_k rejects invalid arguments") {
#if FILIGREE_COUNTS_ALLOCATIONS
  Random random(716);
  const Matrix<double> x = test::normal<double>(random, 100, 8);
  const auto sae = fg::autoencoder(fg::linear<double>(8, 100) | fg::top_k(1), fg::linear<double>(100, 8));
  fg::Pass pass(sae);
  Eigen::VectorXd gradient;
  const auto objective = fg::squared_error() + fg::aux_k(4, {.after = 1, .normalized = true});
  for (int warm = 0; warm < 2; ++warm) {
    std::fill(pass.samples_since_active().begin(), pass.samples_since_active().end(), 5);
    pass.gradient(sae, x, x, objective, gradient);
  }
  CHECK(test::allocated_by([&] { pass.gradient(sae, x, x, objective, gradient); }) == 0);
#endif
  CHECK_THROWS_WITH(fg::aux_k(0), "filigree: aux_k(k): k must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::aux_k(1, {.after = 0}), "filigree: aux_k(k, {.after}): after must be at least 1 sample, got 0");
}

TEST_CASE("losses of codes reject invalid arguments and networks") {
  CHECK_THROWS_WITH(fg::matryoshka({}), "filigree: matryoshka(prefixes): there must be at least one prefix");
  CHECK_THROWS_WITH(fg::matryoshka({4, 4}),
                    "filigree: matryoshka(prefixes): prefixes must be positive and strictly increasing, got 4 after 4");
  CHECK_THROWS_WITH(fg::matryoshka({0}),
                    "filigree: matryoshka(prefixes): prefixes must be positive and strictly increasing, got 0 after 0");
  CHECK_THROWS_WITH(fg::gated(3, 0), "filigree: linear(in, out): out must be from 1 to 2147482623, got 0");
  CHECK_THROWS_WITH(fg::network(fg::linear(4, 5) | fg::gated(6, 7)),
                    "filigree: gated(6, 7): gets 5 columns from the stage before it, not 6");
  const auto sae = fg::autoencoder(fg::linear(4, 9) | fg::top_k(1), fg::linear(9, 4));
  const Eigen::MatrixXf x = Eigen::MatrixXf::Random(5, 4);
  fg::Pass pass(sae);
  CHECK_THROWS_WITH(pass.loss(sae, x, x, fg::matryoshka({4, 10})),
                    "filigree: matryoshka(prefixes): the last prefix must be at most the 9 latents, got 10");
  CHECK_THROWS_WITH(pass.loss(sae, x, x, fg::gate_l1()),
                    "filigree: gate_l1(): the stage before the decoder must be gated(in, latents)");
}
