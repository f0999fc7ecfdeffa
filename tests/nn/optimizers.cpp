// SPDX-License-Identifier: MIT
// Steps of optimizers against their formulas.
#include <cmath>
#include <filigree/filigree.hpp>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;

namespace {

/// Compares the steps of an optimizer for random gradients with `expected`, which computes one parameter.
template <class Opt, class F>
void check(const Opt& optimizer, F&& expected, bool weights = true) {
  Random random(641);
  constexpr Index count = 5;
  std::vector<double> values(count), gradient(count),
      moments(static_cast<std::size_t>(fg::detail::moments_of(optimizer) * count));
  for (double& x : values) x = random.normal();
  std::vector<double> own = values;
  std::vector<std::vector<double>> history(count);
  for (Index step = 1; step <= 6; ++step) {
    const double factor = 1.0 / static_cast<double>(step);
    for (std::size_t i = 0; i < count; ++i) {
      gradient[i] = i == 4 ? 0 : random.normal();
      history[i].push_back(gradient[i]);
      own[i] = expected(own[i], history[i], step, factor);
    }
    optimizer.step(fg::Parameters<double>{values.data(), gradient.data(), moments.data(), count, weights}, step,
                   factor);
    for (std::size_t i = 0; i < count; ++i) CHECK(values[i] == Approx(own[i]).epsilon(1e-13));
  }
}

/// Returns the sum of decay^age · gradient^power, where the last gradient has age 0.
double decayed_sum(const std::vector<double>& history, double decay, int power = 1) {
  double sum = 0;
  for (const double g : history) sum = decay * sum + std::pow(g, power);
  return sum;
}

double adam_step(const std::vector<double>& history, double b1, double b2, double epsilon) {
  const double t = static_cast<double>(history.size());
  const double m = (1 - b1) * decayed_sum(history, b1) / (1 - std::pow(b1, t));
  const double v = (1 - b2) * decayed_sum(history, b2, 2) / (1 - std::pow(b2, t));
  return m / (std::sqrt(v) + epsilon);
}

}  // namespace

TEST_CASE("steps of optimizers match their formulas") {
  check(fg::sgd{.rate = 0.1},
        [](double x, const auto& history, Index, double factor) { return x - 0.1 * factor * history.back(); });
  check(fg::sgd{.rate = 0.1, .momentum = 0.9}, [](double x, const auto& history, Index, double factor) {
    return x - 0.1 * factor * decayed_sum(history, 0.9);
  });
  check(fg::adam{.rate = 0.2, .beta1 = 0.8, .beta2 = 0.95}, [](double x, const auto& history, Index, double factor) {
    return x - 0.2 * factor * adam_step(history, 0.8, 0.95, 1e-8);
  });
  for (const bool weights : {true, false})
    check(
        fg::adamw{.rate = 0.2, .epsilon = 1e-3, .decay = 0.3},
        [&](double x, const auto& history, Index, double factor) {
          return x * (weights ? 1 - 0.2 * factor * 0.3 : 1) - 0.2 * factor * adam_step(history, 0.9, 0.999, 1e-3);
        },
        weights);
  for (const bool weights : {true, false})
    check(
        fg::proximal_gradient{.rate = 0.5, .l1 = 0.4},
        [&](double x, const auto& history, Index, double factor) {
          const double moved = x - 0.5 * factor * history.back(), bound = weights ? 0.5 * factor * 0.4 : 0;
          return moved > bound ? moved - bound : moved < -bound ? moved + bound : 0.0;
        },
        weights);
}

TEST_CASE("steps with Nesterov momentum and amsgrad match their formulas") {
  check(fg::sgd{.rate = 0.1, .momentum = 0.9, .nesterov = true},
        [](double x, const auto& history, Index, double factor) {
          return x - 0.1 * factor * (history.back() + 0.9 * decayed_sum(history, 0.9));
        });
  const auto amsgrad_step = [](const std::vector<double>& history, double b1, double b2, double epsilon) {
    double max_v = 0;
    for (auto end = history.begin(); end != history.end(); ++end)
      max_v = std::max(max_v, (1 - b2) * decayed_sum({history.begin(), end + 1}, b2, 2));
    const double t = static_cast<double>(history.size());
    const double m = (1 - b1) * decayed_sum(history, b1) / (1 - std::pow(b1, t));
    return m / (std::sqrt(max_v / (1 - std::pow(b2, t))) + epsilon);
  };
  check(fg::adam{.rate = 0.2, .beta1 = 0.8, .beta2 = 0.6, .amsgrad = true},
        [&](double x, const auto& history, Index, double factor) {
          return x - 0.2 * factor * amsgrad_step(history, 0.8, 0.6, 1e-8);
        });
  check(fg::adamw{.rate = 0.2, .beta2 = 0.6, .decay = 0.3, .amsgrad = true},
        [&](double x, const auto& history, Index, double factor) {
          return x * (1 - 0.2 * factor * 0.3) - 0.2 * factor * amsgrad_step(history, 0.9, 0.6, 1e-8);
        });
  CHECK_THROWS_WITH((fg::sgd{.nesterov = true}.check<float>()),
                    "filigree: sgd{.nesterov}: needs a momentum above 0, got 0");
}

TEST_CASE("fit trains with amsgrad and Nesterov momentum") {
  Random random(642);
  const test::Matrix<double> x = test::normal<double>(random, 40, 6);
  const auto losses = [&](const auto& optimizer) {
    auto net = fg::network(fg::linear<double>(6, 3) | fg::tanh() | fg::linear<double>(3, 6), 4);
    return fg::fit(net, x, fg::squared_error(), optimizer, {.epochs = 6, .batch = 10}).losses;
  };
  for (const auto& run :
       {losses(fg::adam{.rate = 0.02, .amsgrad = true}), losses(fg::adamw{.rate = 0.02, .amsgrad = true}),
        losses(fg::sgd{.rate = 0.05, .momentum = 0.5, .nesterov = true})})
    CHECK(run.back() < 0.95 * run.front());
  CHECK(losses(fg::adam{.rate = 0.02, .amsgrad = true}) != losses(fg::adam{.rate = 0.02}));
}

TEST_CASE("warm_up and cosine match the schedules of Hugging Face") {
  // The lambdas of Hugging Face's get_constant_schedule_with_warmup and get_cosine_schedule_with_warmup.
  const auto rise = fg::warm_up(4);
  CHECK(rise(0) == 0);
  CHECK(rise(1) == 0.25);
  CHECK(rise(4) == 1);
  CHECK(rise(100) == 1);
  const auto fall = fg::cosine(12, 2);
  CHECK(fall(0) == 0);
  CHECK(fall(1) == 0.5);
  CHECK(fall(2) == 1);
  CHECK(fall(7) == Approx(0.5));
  CHECK(fall(11) == Approx((1 + std::cos(std::acos(-1.0) * 0.9)) / 2));
  CHECK(fall(12) == Approx(0).margin(1e-15));
  CHECK(fall(20) == Approx(0).margin(1e-15));
  CHECK(fg::cosine(10)(0) == 1);
  CHECK(fg::cosine(10)(5) == Approx(0.5));
  CHECK_THROWS_WITH(fg::warm_up(0), "filigree: warm_up(steps): steps must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::cosine(5, 5), "filigree: cosine(steps, warm): warm must be from 0 to 4, got 5");
}

TEMPLATE_TEST_CASE("moments decay to exactly 0 without a gradient", "", float, double) {
  using S = TestType;
  const auto check = [](const auto& optimizer) {
    using Opt = std::remove_cvref_t<decltype(optimizer)>;
    S value = 1, gradient = 1;
    std::vector<S> moments(static_cast<std::size_t>(Opt::moments));
    const fg::Parameters<S> parameters{&value, &gradient, moments.data(), 1, true};
    for (Index step = 1; step <= 20000; ++step) {
      optimizer.step(parameters, step, 1.0);
      gradient = 0;
    }
    for (const S moment : moments) CHECK(moment == S(0));
    const S before = value;
    gradient = -1;  // a gradient after a long pause
    optimizer.step(parameters, 20001, 1.0);
    CHECK(value > before);
  };
  check(fg::adam{.beta2 = 0.9});
  check(fg::adamw{.beta2 = 0.9, .decay = 0});
  check(fg::sgd{.momentum = 0.9});
}
