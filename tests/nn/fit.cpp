// SPDX-License-Identifier: MIT
// Training: convergence, reproducibility, and errors that leave the network unchanged.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Matrix = test::Matrix<double>;

namespace {

struct Problem {
  explicit Problem(std::uint64_t stream) {
    Random random(stream);
    x = test::normal<double>(random, 200, 5);
    weights = test::normal<double>(random, 5, 3);
    y = (x * weights).rowwise() + Eigen::RowVector3d(1, -2, 3);
  }
  Matrix x, weights, y;
};

}  // namespace

TEST_CASE("every optimizer learns a linear map") {
  const Problem p(651);
  const auto check = [&](const auto& optimizer, const fg::fit_options& options) {
    auto net = fg::network(fg::linear<double>(5, 3));
    const auto report = fg::fit(net, p.x, p.y, fg::squared_error(), optimizer, options);
    CHECK(report.losses.back() < 1e-8);
    CHECK((net.weights<0>() - p.weights).cwiseAbs().maxCoeff() < 1e-3);
    CHECK(net.biases<0>()[1] == Approx(-2).epsilon(1e-3));
  };
  check(fg::sgd{.rate = 0.1}, {.epochs = 400});
  check(fg::sgd{.rate = 0.01, .momentum = 0.9}, {.epochs = 60, .batch = 16});
  check(fg::adam{.rate = 0.1}, {.epochs = 400, .batch = 50, .schedule = fg::cosine(1600)});
  check(fg::adamw{.rate = 0.1, .decay = 0}, {.epochs = 400, .batch = 50, .schedule = fg::cosine(1600, 10)});
  check(fg::proximal_gradient{.rate = 0.1}, {.epochs = 400});
}

TEST_CASE("proximal_gradient sets the weights of irrelevant inputs to exactly 0") {
  Random random(652);
  const Matrix x = test::normal<double>(random, 500, 20);
  const Matrix y = 2 * x.col(3) - x.col(11) + 0.01 * test::normal<double>(random, 500, 1);
  auto net = fg::network(fg::linear<double>(20, 1));
  fg::fit(net, x, y, 0.5 * fg::squared_error(), fg::proximal_gradient{.rate = 0.5, .l1 = 0.1}, {.epochs = 300});
  for (Index j = 0; j < 20; ++j) {
    // At the minimum the gradient is -l1 sign(w) if w is not 0, and its magnitude is at most l1 if w is 0.
    const double derivative =
        (x * net.weights<0>() + Matrix::Constant(500, 1, net.biases<0>()[0]) - y).col(0).dot(x.col(j)) / 500;
    const double w = net.weights<0>()(j, 0);
    if (j == 3 || j == 11)
      CHECK(derivative == Approx(w > 0 ? -0.1 : 0.1).epsilon(1e-6));
    else {
      CHECK(w == 0);
      CHECK(std::abs(derivative) <= 0.1);
    }
  }
}

TEST_CASE("the same seed gives the same parameters for any number of threads") {
  Random random(653);
  const test::Matrix<float> x = test::normal<float>(random, 333, 12);
  const auto train = [&](std::uint64_t seed, fg::ExecutorRef executor) {
    auto sae = fg::autoencoder(fg::linear(12, 20) | fg::dropout(0.1, 5) | fg::top_k(4), fg::linear(20, 12), 3);
    const auto report = fg::fit(sae, x, fg::squared_error(), fg::adam{},
                                {.epochs = 3, .batch = 32, .seed = seed, .executor = executor});
    CHECK(report.steps == 3 * 11);
    CHECK(report.losses[2] < report.losses[0]);
    return sae.parameters();
  };
  const auto expected = train(1, fg::ExecutorRef(fg::serial()));
  fg::thread_pool pool(3);
  CHECK(test::same(train(1, fg::ExecutorRef(pool)), expected));
  CHECK_FALSE(test::same(train(2, fg::ExecutorRef(fg::serial())), expected));
}

TEST_CASE("an epoch uses every sample once") {
  // With inputs of 0, the bias changes in proportion to the mean target of each batch.
  const Matrix x = Matrix::Zero(10, 1);
  Matrix y(10, 1);
  for (Index i = 0; i < 10; ++i) y(i, 0) = std::pow(2.0, static_cast<double>(i));
  auto net = fg::network(fg::linear<double>(1, 1));
  net.parameters().setZero();
  // With a tiny rate the gradient stays that at 0, -2 mean(y). The tenth sample joins the last of three batches.
  std::vector<double> moves;
  double before = 0;
  fg::fit(net, x, y, fg::squared_error(), fg::sgd{.rate = 1e-9}, {.epochs = 1, .batch = 3, .schedule = [&](Index) {
                                                                    moves.push_back(net.biases<0>()[0] - before);
                                                                    before = net.biases<0>()[0];
                                                                    return 1.0;
                                                                  }});
  moves.push_back(net.biases<0>()[0] - before);
  REQUIRE(moves.size() == 4);
  const double sum = (3 * (moves[1] + moves[2]) + 4 * moves[3]) / 2e-9;
  CHECK(sum == Approx(1023).epsilon(1e-5));

  const auto steps = [&](const fg::fit_options& options) {
    return fg::fit(net, x, y, fg::squared_error(), fg::sgd{.rate = 1e-9}, options).steps;
  };
  CHECK(steps({.epochs = 2, .batch = 4}) == 6);  // 4, 4 and 2
  CHECK(steps({.epochs = 2, .batch = 4, .drop_rest = true}) == 4);
  CHECK(steps({.epochs = 2, .batch = 3, .drop_rest = true}) == 6);
  CHECK(steps({.epochs = 2, .batch = 1}) == 20);
  CHECK(steps({.epochs = 2, .batch = 100}) == 2);
}

TEST_CASE("a single remaining sample joins the preceding batch") {
  Random random(671);
  const Matrix x = test::normal<double>(random, 1025, 3);
  auto net = fg::network(fg::linear<double>(3, 3), 1);
  const auto report = fg::fit(net, x, x, fg::normalized_squared_error(), fg::adam{}, {.epochs = 3, .batch = 256});
  CHECK(report.steps == 12);
  CHECK(report.losses.back() < report.losses.front());
}

TEST_CASE("training stops if after_epoch returns false or the loss does not improve") {
  const Problem p(654);
  auto net = fg::network(fg::linear<double>(5, 3));
  Index epochs = 0;
  auto report =
      fg::fit(net, p.x, p.y, fg::squared_error(), fg::sgd{}, {.epochs = 50, .after_epoch = [&](const auto& epoch) {
                                                                CHECK(epoch.epoch == ++epochs);
                                                                return epochs < 7;
                                                              }});
  CHECK(report.losses.size() == 7);
  report = fg::fit(net, p.x, p.y, fg::squared_error(), fg::sgd{.rate = 0}, {.epochs = 50, .patience = 4});
  CHECK(report.losses.size() == 5);
  report = fg::fit(net, p.x, p.y, fg::squared_error(), fg::sgd{}, {.epochs = 0});
  CHECK(report.losses.empty());
}

TEST_CASE("the report of an epoch counts the active and dead latents of an autoencoder") {
  Random random(657);
  const Matrix x = test::normal<double>(random, 90, 6);
  auto sae = fg::autoencoder(fg::linear<double>(6, 40) | fg::top_k(2), fg::linear<double>(40, 6), 2);
  sae.biases<0>().tail(10).setConstant(-1e6);  // never among the k largest
  double l0 = 0;
  Index dead = -1;
  fg::fit(sae, x, fg::squared_error(), fg::sgd{.rate = 0},
          {.epochs = 2, .batch = 20, .after_epoch = [&](const auto& e) {
             l0 = e.l0;
             dead = e.dead_latents;
             return true;
           }});
  const Matrix codes = sae.encode(x);
  CHECK(l0 == fg::l0(codes));
  CHECK(dead == static_cast<Index>(fg::dead_latents(codes).size()));
  CHECK(dead >= 10);

  auto dense = fg::network(fg::linear<double>(6, 3));
  fg::fit(dense, x, Matrix(x.leftCols(3)), fg::squared_error(), fg::sgd{.rate = 0},
          {.epochs = 1, .after_epoch = [&](const auto& e) {
             CHECK(std::isnan(e.l0));
             return true;
           }});
}

TEST_CASE("the report of an epoch counts dense codes for any number of threads") {
  Random random(676);
  const Matrix x = test::normal<double>(random, 70, 6);
  auto sae = fg::autoencoder(fg::linear<double>(6, 600) | fg::relu(), fg::linear<double>(600, 6), 2);
  sae.biases<0>().segment(250, 20).setConstant(-1e6);  // never active
  sae.biases<0>()[599] = -1e6;
  const Matrix codes = sae.encode(x);
  fg::thread_pool pool(3);
  for (const fg::ExecutorRef executor : {fg::ExecutorRef(fg::serial()), fg::ExecutorRef(pool)})
    fg::fit(sae, x, fg::squared_error(), fg::sgd{.rate = 0},
            {.epochs = 2,
             .batch = 20,
             .after_epoch =
                 [&](const auto& epoch) {
                   CHECK(epoch.l0 == fg::l0(codes));
                   CHECK(epoch.dead_latents == static_cast<Index>(fg::dead_latents(codes).size()));
                   CHECK(epoch.dead_latents >= 21);
                   return true;
                 },
             .executor = executor});
}

TEST_CASE("the report of an epoch counts the codes before a selection in the decoder") {
  Random random(658);
  const Matrix x = test::normal<double>(random, 50, 8);
  auto sae = fg::autoencoder(fg::linear<double>(8, 64), fg::top_k(2) | fg::linear<double>(64, 8));
  fg::fit(sae, x, fg::squared_error(), fg::adam{}, {.epochs = 2, .after_epoch = [](const auto& epoch) {
                                                      CHECK(epoch.l0 == 64);
                                                      return true;
                                                    }});
}

TEST_CASE("samples may be expressions or have 16-bit scalars") {
  const Problem p(659);
  const auto train = [&](const auto& x, const auto& y) {
    auto net = fg::network(fg::linear<double>(5, 3));
    fg::fit(net, x, y, fg::squared_error(), fg::adam{}, {.epochs = 2, .batch = 30});
    return net.parameters();
  };
  const Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic> narrow = p.x.cast<Eigen::half>();
  const Matrix wide = narrow.cast<double>();
  CHECK(test::same(train(narrow, p.y), train(wide, p.y)));
  CHECK(test::same(train(p.x, p.x * p.weights), train(p.x, Matrix(p.x * p.weights))));
}

TEST_CASE("steps that overflow throw an error") {
  const Problem p(660);
  auto net = fg::network(fg::linear<double>(5, 3));
  CHECK_THROWS_WITH(
      fg::fit(net, p.x, p.y, fg::squared_error(), fg::sgd{.rate = 1e308}, {.epochs = 1}),
      "filigree: fit: the parameters would not be finite after step 1; the rate may be too large. They are "
      "as they were before it");
  CHECK(net.parameters() == fg::network(fg::linear<double>(5, 3)).parameters());
  net = fg::network(fg::linear<double>(5, 3));
  CHECK_THROWS_WITH(fg::fit(net, p.x, p.y, fg::squared_error(), fg::sgd{},
                            {.schedule = [](Index step) { return step < 3 ? 1.0 : std::nan(""); }}),
                    "filigree: fit: the schedule must be finite and at least 0; schedule(3) is nan");
  CHECK_THROWS_WITH(fg::fit(net, p.x, p.y, fg::squared_error(), fg::sgd{}, {.schedule = [](Index) { return -1.0; }}),
                    "filigree: fit: the schedule must be finite and at least 0; schedule(0) is -1");
}

TEST_CASE("invalid options of optimizers throw before the network changes") {
  const Problem p(672);
  auto net = fg::network(fg::linear<float>(5, 3));
  const Eigen::VectorXf before = net.parameters();
  const test::Matrix<float> x = p.x.cast<float>(), y = p.y.cast<float>();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto rejects = [&](const auto& optimizer, const std::string& message) {
    CHECK_THROWS_WITH(fg::fit(net, x, y, fg::squared_error(), optimizer, {.epochs = 1}), "filigree: " + message);
    CHECK(net.parameters() == before);
  };
  rejects(fg::adam{.rate = nan}, "adam{.rate}: rate must be finite as a float, got nan");
  rejects(fg::adam{.rate = -0.1}, "adam{.rate}: rate must be at least 0, got -0.1");
  rejects(fg::adam{.rate = 1e39}, "adam{.rate}: rate must be finite as a float, got 1e+39");
  rejects(fg::adam{.beta1 = 1}, "adam{.beta1}: beta1 must be at least 0 and below 1, got 1");
  rejects(fg::adam{.beta2 = -0.5}, "adam{.beta2}: beta2 must be at least 0 and below 1, got -0.5");
  rejects(fg::adam{.beta2 = nan}, "adam{.beta2}: beta2 must be at least 0 and below 1, got nan");
  rejects(fg::adam{.epsilon = 0}, "adam{.epsilon}: epsilon must be positive as a float, got 0");
  rejects(fg::adam{.epsilon = 1e-60}, "adam{.epsilon}: epsilon must be positive as a float, got 1e-60");
  rejects(fg::adamw{.beta1 = 2}, "adam{.beta1}: beta1 must be at least 0 and below 1, got 2");
  rejects(fg::adamw{.decay = nan}, "adamw{.decay}: decay must be finite as a float, got nan");
  rejects(fg::adamw{.decay = -1}, "adamw{.decay}: decay must be at least 0, got -1");
  rejects(fg::sgd{.rate = nan}, "sgd{.rate}: rate must be finite as a float, got nan");
  rejects(fg::sgd{.momentum = 2}, "sgd{.momentum}: momentum must be at least 0 and below 1, got 2");
  rejects(fg::proximal_gradient{.l1 = -1}, "proximal_gradient{.l1}: l1 must be at least 0, got -1");
  fg::fit(net, x, y, fg::squared_error(), fg::adam{.rate = 0, .beta1 = 0, .beta2 = 0}, {.epochs = 1});
  CHECK(net.parameters() == before);
}

TEST_CASE("constraints hold before training") {
  const Matrix x{{1, 1}};
  const Matrix mask{{1}, {0}};
  auto masked = fg::network(fg::linear<double>(2, 1).masked(mask));
  masked.parameters() << 1, 5, 0;
  CHECK(masked(x)(0, 0) == 1);
  CHECK(fg::Pass(masked).loss(masked, x, Matrix::Ones(1, 1), fg::squared_error()) == 0);
  CHECK(masked.parameters()[1] == 5);
  CHECK_FALSE(masked.is_constrained());
  masked.constrain();
  CHECK(masked.parameters()[1] == 0);
  CHECK(masked.is_constrained());

  auto positive = fg::network(fg::linear<double>(2, 1).non_negative());
  positive.parameters() << -3, 2, 0;
  CHECK(positive(x)(0, 0) == 2);
  auto unit = fg::network(fg::linear<double>(2, 2).unit_norm_rows());
  unit.parameters() << 3, 4, 0, 0, 0, 0;
  CHECK(unit(x)(0, 0) == Approx(0.6));
  CHECK(unit(x)(0, 1) == Approx(0.8));
  auto sae = fg::autoencoder(fg::linear<double>(2, 3), fg::linear<double>(3, 2).unit_norm_rows(), 1);
  sae.weights<1>() *= 7;
  CHECK(sae.decode(Matrix{{1, 0, 0}}).norm() == Approx(1));
  CHECK(sae(x) == sae.decode(sae.encode(x)));
}

TEST_CASE("gradients of any size are clipped to the given norm") {
  Matrix x = Matrix::Constant(1, 1, 1), y = Matrix::Constant(1, 1, 1e200);
  auto net = fg::network(fg::linear<double>(1, 1));
  net.parameters().setZero();
  fg::fit(net, x, Matrix(y / 1e60), fg::squared_error(), fg::sgd{.rate = 1}, {.epochs = 1, .clip = 2});
  // Both parameters have the same derivative.
  CHECK(net.parameters()[0] == Approx(std::sqrt(2.0)));
  CHECK(net.parameters()[1] == Approx(std::sqrt(2.0)));
  CHECK(fg::detail::norm_of(Eigen::Vector2d(3e300, 4e300)) == Approx(5e300));
}

TEST_CASE("non-finite samples and losses throw and leave the network unchanged") {
  const Problem p(655);
  auto net = fg::network(fg::linear<double>(5, 4) | fg::tanh() | fg::linear<double>(4, 3), 8);
  const auto before = net.parameters();
  Matrix bad = p.x;
  bad(7, 2) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(fg::fit(net, bad, p.y, fg::squared_error(), fg::sgd{}),
                    "filigree: fit: X(7, 2) must be finite, got nan");
  bad = p.y;
  bad(0, 1) = -std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(fg::fit(net, p.x, bad, fg::squared_error(), fg::sgd{}),
                    "filigree: fit: Y(0, 1) must be finite, got -inf");
  CHECK(test::same(net.parameters(), before));
  const Matrix huge = 1e200 * p.y;
  CHECK_THROWS_WITH(fg::fit(net, p.x, huge, 1e200 * fg::squared_error(), fg::sgd{}, {.epochs = 3}),
                    contains("is not finite in step 1; the parameters are as they were before it"));
  CHECK(test::same(net.parameters(), before));
}

TEST_CASE("fit rejects invalid options and shapes") {
  const Problem p(656);
  auto net = fg::network(fg::linear<double>(5, 3));
  const auto with = [&](const fg::fit_options& options) {
    fg::fit(net, p.x, p.y, fg::squared_error(), fg::sgd{}, options);
  };
  CHECK_THROWS_WITH(with({.epochs = -1}), "filigree: fit: epochs must be at least 0, got -1");
  CHECK_THROWS_WITH(with({.batch = -2}), "filigree: fit: batch must be at least 1, or 0 for all samples, got -2");
  CHECK_THROWS_WITH(with({.clip = 0}), "filigree: fit: clip must be above 0, got 0");
  CHECK_THROWS_WITH(with({.patience = -1}), "filigree: fit: patience must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::fit(net, p.y, p.y, fg::squared_error(), fg::sgd{}),
                    "filigree: fit: X.cols() = 3 must be the network's inputs, 5");
  CHECK_THROWS_WITH(fg::fit(net, Matrix(0, 5), Matrix(0, 3), fg::squared_error(), fg::sgd{}),
                    "filigree: fit: X must have at least 1 row");
}

TEST_CASE("a step that fails changes no parameter of any layer") {
  Random random(673);
  const Matrix x = test::normal<double>(random, 30, 120);
  fg::thread_pool pool(2);
  const auto check = [&](auto net, const auto& optimizer, const std::string& message) {
    auto constrained = net;
    constrained.constrain();  // as fit does first
    const Eigen::VectorXd before = constrained.parameters();
    CHECK_THROWS_WITH(fg::fit(net, x, 1e4 * fg::squared_error(), optimizer, {.epochs = 2, .executor = pool}),
                      contains(message));
    CHECK(test::same(net.parameters(), before));
  };
  const auto in = fg::linear<double>(120, 100), out = fg::linear<double>(100, 120);
  const auto plain = fg::network(in | fg::tanh() | out, 3),
             unit = fg::network(in | fg::tanh() | out.unit_norm_rows(), 3);
  const auto jump = fg::network(in | fg::jump_relu<double>(100, {.theta = 0.1}) | out, 3);
  const std::string overflow = "the parameters would not be finite after step 1";
  check(plain, fg::sgd{.rate = 1e308}, overflow);
  check(unit, fg::sgd{.rate = 1.7e308, .momentum = 0.5}, overflow);
  check(jump, fg::adam{.rate = 1e5}, overflow);  // the logarithm of a threshold
  auto not_finite = plain;
  not_finite.biases<2>()[119] = 1.7e308;
  check(not_finite, fg::sgd{}, "the gradient of stage ");
  not_finite = plain;
  not_finite.biases<0>()[7] = std::numeric_limits<double>::infinity();  // its tanh is 1, its derivative 0
  check(not_finite, fg::sgd{}, overflow);
}

TEST_CASE("parameters close to the largest number can be trained") {
  Random random(674);
  const Matrix x = test::normal<double>(random, 30, 4), y = x.leftCols(2);
  auto net = fg::network(fg::linear<double>(4, 3) | fg::tanh() | fg::linear<double>(3, 2), 3);
  net.biases<0>()[1] = 1.6e308;  // its tanh is 1
  const auto report = fg::fit(net, x, y, fg::squared_error(), fg::adam{.rate = 0.02}, {.epochs = 60});
  CHECK(report.losses.back() < 0.8 * report.losses.front());
  CHECK(net.biases<0>()[1] == 1.6e308);
}

TEST_CASE("after_epoch may change the parameters") {
  Random random(675);
  const Matrix x = test::normal<double>(random, 30, 4);
  auto net = fg::network(fg::linear<double>(4, 3) | fg::tanh() | fg::linear<double>(3, 4), 3);
  const auto after_epoch = [&](const fg::EpochReport& epoch) {
    if (epoch.epoch == 2) net.biases<0>()[1] = std::numeric_limits<double>::infinity();
    return true;
  };
  CHECK_THROWS_WITH(fg::fit(net, x, fg::squared_error(), fg::sgd{}, {.epochs = 5, .after_epoch = after_epoch}),
                    contains("the parameters would not be finite after step 3"));
}
