// SPDX-License-Identifier: MIT
// The head of a learned sparse encoder, linear | log1p_relu | pool_max or pool_sum | top_k, which runs without the
// outputs of the linear layer: compared with the stages one after another, with formulas, and with differences.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

using Lengths = std::vector<Index>;

/// A copy of a stage that no group of stages recognizes.
struct OtherMap {
  using Category = fg::ScoreMap;
  static constexpr bool derivative_from_output = true;
  template <class S>
  void map_all(S* values, Index count) const {
    fg::log1p_relu().map_all(values, count);
  }
  template <class S>
  S derivative(S x, S y) const {
    return fg::log1p_relu().derivative(x, y);
  }
};

/// Compares the head with the stages one after another: the same bits forward, gradients up to rounding.
template <class S, class Pool, class... Rest>
void compare(const Pool& pooling, Index d, Index m, const Lengths& lengths, double scale, const Rest&... rest) {
  Random random(77);
  Index n = 0;
  for (const Index length : lengths) n += length;
  const fg::Batch batch{Matrix<S>(test::normal<S>(random, n, d)), lengths};
  // The linear layer before the head shows the gradient with respect to the head's input.
  const auto start = fg::linear<S>(d, d) | fg::linear<S>(d, m);
  auto fused = fg::network(((start | fg::log1p_relu() | pooling) | ... | rest), 5);
  auto stages = fg::network(((start | OtherMap() | pooling) | ... | rest), 5);
  fused.parameters() += static_cast<S>(scale) * test::normal<S>(random, fused.parameters().size(), 1);
  stages.parameters() = fused.parameters();
  const Matrix<S> y = fused(batch);
  CHECK(y.rows() == static_cast<Index>(lengths.size()));
  CHECK(test::same(y, stages(batch)));
  const Matrix<S> target = test::normal<S>(random, y.rows(), m);
  fg::Pass one(fused);
  fg::Pass two(stages);
  typename decltype(fused)::Vector gradient, expected, threaded;
  CHECK(one.gradient(fused, batch, target, fg::squared_error(), gradient) ==
        two.gradient(stages, batch, target, fg::squared_error(), expected));
  const S largest = expected.cwiseAbs().maxCoeff();
  CHECK((gradient - expected).cwiseAbs().maxCoeff() <= 20 * std::numeric_limits<S>::epsilon() * largest);
  fg::thread_pool pool(3);
  fg::Pass three(fused, fg::ExecutorRef(pool));
  three.gradient(fused, batch, target, fg::squared_error(), threaded);
  CHECK(test::same(threaded, gradient));
  fg::Predictor predictor(fused);
  CHECK(test::same(Matrix<S>(predictor.sparse(batch)), y));
}

}  // namespace

TEST_CASE("log1p_relu computes its formula and derivative") {
  Matrix<double> x(1, 5);
  const double infinity = std::numeric_limits<double>::infinity();
  x << -2, 0, 1e-300, 1.5, infinity;
  const Matrix<double> y = x | fg::log1p_relu();
  CHECK(y(0, 0) == 0);
  CHECK(y(0, 1) == 0);
  CHECK(y(0, 2) == 1e-300);
  CHECK(y(0, 3) == Approx(std::log(2.5)));
  CHECK(y(0, 4) == infinity);
  CHECK(std::isnan(fg::Log1pRelu::value(std::numeric_limits<float>::quiet_NaN())));
  CHECK(fg::log1p_relu().derivative(1.5, std::log(2.5)) == Approx(1 / 2.5));
  CHECK(fg::log1p_relu().derivative(0.0, 0.0) == 0);
  CHECK(fg::log1p_relu().derivative(-1.0, 0.0) == 0);
}

TEST_CASE("the head has the outputs and gradients of its stages") {
  const auto check = [](const auto& pooling) {
    compare<double>(pooling, 6, 40, {3, 1, 7, 2}, 0.5, fg::top_k(5));
    compare<double>(pooling, 6, 40, {3, 1, 7, 2}, 0.5);
    compare<float>(pooling, 8, 1100, {300, 1, 290}, 0.5, fg::top_k(20));  // several tiles
    compare<float>(pooling, 8, 1100, {300, 1, 290}, 0.5);
    compare<float>(pooling, 5, 33, {40, 30}, 0.5, fg::top_k(100));  // keeps all
  };
  check(fg::pool_max());
  check(fg::pool_sum());
  compare<float>(fg::pool_max(), 5, 33, {400, 30}, 1e4);  // large outputs: logarithms often round to the same number
  compare<float>(fg::pool_sum(), 4, 1030, {212, 300, 513, 1}, 0.5);  // sequences that begin and end at a tile
}

TEST_CASE("the gradient of the head is the one by differences") {
  Random random(78);
  const Lengths lengths = {4, 1, 6};
  const fg::Batch batch{Matrix<double>(test::normal<double>(random, 11, 3)), lengths};
  const Matrix<double> target = test::normal<double>(random, 3, 7);
  const auto check = [&](const auto& pooling) {
    auto net = fg::network(fg::linear<double>(3, 4) | fg::linear<double>(4, 7).skip_connection(3) | fg::log1p_relu() |
                               pooling | fg::top_k(3),
                           2);
    net.parameters() += 0.5 * test::normal<double>(random, net.parameters().size(), 1);
    fg::Pass pass(net);
    Eigen::VectorXd gradient;
    pass.gradient(net, batch, target, fg::squared_error(), gradient);
    auto moved = net;
    const Eigen::VectorXd expected = test::differences(
        [&](const Eigen::VectorXd& parameters) {
          moved.parameters() = parameters;
          return pass.loss(moved, batch, target, fg::squared_error());
        },
        net.parameters(), 1e-5);
    CHECK(test::relative(gradient, expected) < 1e-7);
  };
  check(fg::pool_max());
  check(fg::pool_sum());
}

TEST_CASE("the head with pool_sum keeps NaN in its text and its column, and gives no gradient below 0") {
  auto net = fg::network(fg::linear<float>(1, 2) | fg::log1p_relu() | fg::pool_sum());
  net.parameters() << 1, -1, 0, 0;
  Matrix<float> x(4, 1);
  x << 3, 2, 1, 4;
  const Matrix<float> outputs = net(fg::Batch{x, {2, 2}});
  CHECK(outputs(0, 0) == Approx(std::log(12.0)));
  CHECK(outputs.col(1).isZero());
  Eigen::VectorXf gradient;
  fg::Pass(net).gradient(net, fg::Batch{x, {2, 2}}, Matrix<float>::Zero(2, 2), fg::squared_error(), gradient);
  CHECK(gradient[0] == Approx(std::log(12.0) * (3 / 4.0 + 2 / 3.0) + std::log(10.0) * (1 / 2.0 + 4 / 5.0)));
  CHECK(gradient[1] == 0);
  CHECK(gradient[3] == 0);
  net.parameters() << 1, 0, 0, 1;
  x(2, 0) = std::numeric_limits<float>::quiet_NaN();
  const Matrix<float> with_nan = net(fg::Batch{x, {2, 2}});
  CHECK(std::isnan(with_nan(1, 0)));
  CHECK(with_nan.row(0).allFinite());
}

TEST_CASE("the head gives ties to the first token, NaN to the first NaN, and no gradient below 0") {
  auto net = fg::network(fg::linear<float>(1, 2) | fg::log1p_relu() | fg::pool_max());
  net.parameters() << 1, -1, 0, 0;
  Matrix<float> x(6, 1), y = Matrix<float>::Zero(2, 2);
  const float above = std::nextafter(1e6F, 2e6F);  // log1p rounds to the same float
  x << 1e6F, above, 3, 2, 2, 2;
  REQUIRE(fg::Log1pRelu::value(above) == fg::Log1pRelu::value(1e6F));
  const fg::Batch batch{x, {3, 3}};
  const Matrix<float> outputs = net(batch);
  CHECK(outputs(0, 0) == std::log1p(1e6F));
  CHECK(outputs(1, 0) == std::log1p(2.0F));
  CHECK(outputs.col(1).isZero());
  fg::Pass pass(net);
  Eigen::VectorXf gradient;
  pass.gradient(net, batch, y, fg::squared_error(), gradient);
  const double first = std::log1p(1e6) / (1 + 1e6) * 1e6, second = std::log1p(2.0) / 3 * 2;
  CHECK(gradient[0] == Approx(first + second));
  CHECK(gradient[1] == 0);
  CHECK(gradient[3] == 0);
  x(4, 0) = std::numeric_limits<float>::quiet_NaN();
  const Matrix<float> with_nan = net(fg::Batch{x, {3, 3}});
  CHECK(std::isnan(with_nan(1, 0)));
  CHECK(std::isnan(with_nan(1, 1)));
  CHECK(with_nan.row(0) == outputs.row(0));  // no other sequence
}

TEST_CASE("outputs whose logarithms round to the same number are a tie, which the first token wins") {
  auto net = fg::network(fg::linear<float>(2, 1) | fg::log1p_relu() | fg::pool_max());
  net.parameters() << 1, 0, 0;
  Matrix<float> x(2, 2);
  x << 1e6F, 0, std::nextafter(1e6F, 2e6F), 1;  // the second feature shows the token that gets the gradient
  Eigen::VectorXf gradient;
  fg::Pass(net).gradient(net, x, Matrix<float>::Zero(1, 1), fg::squared_error(), gradient);
  CHECK(gradient[0] != 0);
  CHECK(gradient[1] == 0);
}

TEST_CASE("the head rejects lengths that do not sum to the rows") {
  const Matrix<float> x = Matrix<float>::Ones(4, 2);
  const auto net = fg::network(fg::linear(2, 3) | fg::log1p_relu() | fg::pool_max({1, 2}) | fg::top_k(1));
  CHECK_THROWS_WITH(net(x), "filigree: pool_max(lengths): the lengths sum to 3, they must sum to the 4 rows");
  CHECK(net(x.topRows(3)).rows() == 2);
}
