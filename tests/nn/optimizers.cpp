// SPDX-License-Identifier: MIT
// Steps of optimizers against their formulas.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>
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

TEMPLATE_TEST_CASE("moments decay to exactly 0 without a gradient", "", FILIGREE_TEST_SCALARS) {
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

namespace {

/// An optimizer of a user, with a step that depends on all parameters of a layer.
struct Normalized {
  double rate = 0.1;
  static constexpr Index moments = 0;
  template <class S>
  void step(const fg::Parameters<S>& p, Index, double factor) const {
    CHECK(p.stride == p.count);
    double square = 0;
    for (Index i = 0; i < p.count; ++i) square += static_cast<double>(p.gradient[i] * p.gradient[i]);
    if (square == 0) return;
    for (Index i = 0; i < p.count; ++i)
      p.values[i] -= static_cast<S>(rate * factor / std::sqrt(square)) * p.gradient[i];
  }
};

/// Trains step by step, with the formulas of clipping and of constraints in loops over single numbers.
template <class Net, class Opt>
Eigen::VectorXd trained(Net net, const test::Matrix<double>& x, const Opt& optimizer, double clip, Index steps) {
  fg::Pass pass(net);
  Eigen::VectorXd gradient,
      moments = Eigen::VectorXd::Zero(fg::detail::moments_of(optimizer) * net.parameters().size());
  for (Index step = 1; step <= steps; ++step) {
    pass.gradient(net, x, fg::squared_error(), gradient);
    net.each_layer([&](const auto& layer, std::size_t, Index offset) {
      if constexpr (requires { layer.constraints; })
        for (Index i = 0; layer.constraints.unit_rows && i < layer.in; ++i) {
          const auto w = net.parameters().segment(offset + i * layer.out, layer.out);
          auto g = gradient.segment(offset + i * layer.out, layer.out);
          if (layer.constraints.mask != nullptr)
            for (Index j = 0; j < layer.out; ++j)
              g[j] *= (*layer.constraints.mask)[static_cast<std::size_t>(i * layer.out + j)];
          g -= g.dot(w) / w.squaredNorm() * w;
        }
    });
    if (gradient.norm() > clip) gradient *= clip / gradient.norm();
    net.each_layer([&](const auto& layer, std::size_t, Index offset) {
      const Index weights = fg::detail::weight_count(layer);
      const auto update = [&](Index from, Index count, bool are_weights) {
        optimizer.step(
            fg::Parameters<double>{net.parameters().data() + from, gradient.data() + from,
                                   moments.data() + fg::detail::moments_of(optimizer) * from, count, are_weights},
            step, 1.0);
      };
      update(offset, weights, true);
      update(offset + weights, layer.parameter_count() - weights, false);
    });
    net.constrain();
  }
  return net.parameters();
}

}  // namespace

TEST_CASE("fit updates parameters in parts with the same results as one by one") {
  Random random(643);
  const test::Matrix<double> x = test::normal<double>(random, 20, 150);
  const Eigen::MatrixXd mask = (test::normal<double>(random, 90, 150).array() > 0).cast<double>();
  fg::thread_pool pool(3);
  const auto check = [&](const auto& net, const auto& optimizer, double clip) {
    const auto run = [&](fg::ExecutorRef executor) {
      auto copy = net;
      fg::fit(copy, x, fg::squared_error(), optimizer, {.epochs = 4, .clip = clip, .executor = executor});
      return copy.parameters();
    };
    const Eigen::VectorXd expected = trained(net, x, optimizer, clip, 4), alone = run(fg::serial());
    CHECK((alone - expected).norm() <= 1e-11 * expected.norm());
    CHECK(alone != net.parameters());
    CHECK(test::same(run(pool), alone));
  };
  const auto check_all = [&](const auto& net) {
    for (const double clip : {std::numeric_limits<double>::infinity(), 0.5}) {
      check(net, fg::sgd{.rate = 1e-3, .momentum = 0.9}, clip);
      check(net, fg::adam{.rate = 1e-2, .epsilon = 1e-3}, clip);  // a small epsilon amplifies rounding errors
      check(net, fg::adamw{.rate = 1e-2, .epsilon = 1e-3, .amsgrad = true}, clip);
      check(net, fg::proximal_gradient{.rate = 1e-3, .l1 = 1e-3}, clip);
      check(net, Normalized{}, clip);
    }
  };
  const auto in = fg::linear<double>(150, 90), out = fg::linear<double>(90, 150);  // two parts each
  check_all(fg::network(in | fg::tanh() | out.unit_norm_rows(), 5));
  check_all(fg::network(in | fg::tanh() | out.masked(mask).unit_norm_rows(), 5));
  check_all(fg::network(in | fg::tanh() | out.non_negative().skip_connection(150), 5));
}

TEMPLATE_TEST_CASE("bounds of steps hold", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(644);
  constexpr Index count = 40;
  const auto check = [&](const auto& optimizer) {
    for (const bool weights : {true, false}) {
      std::vector<S> values(count), gradient(count),
          moments(static_cast<std::size_t>(fg::detail::moments_of(optimizer) * count));
      double bound = 4, moment_bounds[3] = {};
      for (S& x : values) x = static_cast<S>(random.uniform(-4, 4));
      for (Index step = 1; step <= 30; ++step) {
        const double size = std::pow(10.0, random.uniform(-8, 3)), factor = random.uniform(0, 2);
        for (S& x : gradient) x = static_cast<S>(random.uniform(-size, size));
        bound = optimizer.template bound_step<S>(bound, size, moment_bounds, step, factor);
        optimizer.step(fg::Parameters<S>{values.data(), gradient.data(), moments.data(), count, weights}, step, factor);
        for (const S x : values) CHECK(static_cast<double>(std::abs(x)) <= bound * (1 + 1e-5));
        for (std::size_t i = 0; i < moments.size(); ++i)
          CHECK(static_cast<double>(std::abs(moments[i])) <= moment_bounds[i / count] * (1 + 1e-5));
      }
    }
  };
  check(fg::sgd{.rate = 0.3});
  check(fg::sgd{.rate = 0.3, .momentum = 0.9});
  check(fg::sgd{.rate = 2, .momentum = 0.9, .nesterov = true});
  check(fg::adam{.rate = 2});
  check(fg::adam{.rate = 1e-3, .beta1 = 0, .beta2 = 0, .amsgrad = true});
  check(fg::adamw{.rate = 2, .decay = 3, .amsgrad = true});
  check(fg::proximal_gradient{.rate = 2, .l1 = 3});
}
