// SPDX-License-Identifier: MIT
// drop_smallest() and sparse_transformer(): the class SparseSelfAttention of tutorials, written out.
#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>
#include <numeric>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// Sets the int(n * sparsity) smallest of all scores to -1e9, as the class does, or those of each row.
Matrix<double> dropped(Matrix<double> scores, double sparsity, bool of_rows) {
  const auto count = static_cast<std::size_t>(static_cast<double>(scores.rows()) * sparsity);
  const auto drop = [&](Index first, Index rows) {
    std::vector<double> all(scores.data() + first * scores.cols(), scores.data() + (first + rows) * scores.cols());
    std::sort(all.begin(), all.end());
    if (count == 0) return;
    const double bound = all[count - 1];
    for (Index i = first; i < first + rows; ++i)
      for (Index j = 0; j < scores.cols(); ++j)
        if (scores(i, j) <= bound) scores(i, j) = -1e9;
  };
  if (of_rows)
    for (Index i = 0; i < scores.rows(); ++i) drop(i, 1);
  else
    drop(0, scores.rows());
  return scores;
}

/// The class: one projection to queries, keys and values, heads, dropped scores, softmax, the output projection, and
/// the sum with the input.
Matrix<double> layer(const Matrix<double>& x, const double* p, Index h, double sparsity, bool of_rows) {
  const Index n = x.rows(), d = x.cols(), width = d / h;
  const Eigen::Map<const Matrix<double>> w(p, d, 3 * d), wo(p + 3 * d * d + 3 * d, d, d);
  const Eigen::Map<const Eigen::RowVectorXd> b(p + 3 * d * d, 3 * d), bo(p + 4 * d * d + 3 * d, d);
  const Matrix<double> qkv = (x * w).rowwise() + b;
  Matrix<double> heads(n, d);
  for (Index i = 0; i < h; ++i) {
    const Matrix<double> q = qkv.middleCols(i * width, width), k = qkv.middleCols(d + i * width, width);
    const Matrix<double> s = dropped(q * k.transpose() / std::sqrt(static_cast<double>(width)), sparsity, of_rows);
    for (Index r = 0; r < n; ++r) {
      const Eigen::RowVectorXd e = (s.row(r).array() - s.row(r).maxCoeff()).exp();
      heads.row(r).segment(i * width, width) = e / e.sum() * qkv.middleCols(2 * d + i * width, width);
    }
  }
  return x + ((heads * wo).rowwise() + bo);
}

}  // namespace

TEST_CASE("sparse_transformer() computes the stack of the class, by both readings of sparsity") {
  Random random(1831);
  for (const bool of_rows : {true, false})
    for (const double sparsity : {0.0, 0.3, 0.9}) {
      auto net = fg::network(
          fg::sparse_transformer<double>(2, 6, fg::heads{3},
                                         {.sparsity = sparsity,
                                          .dropout = 0.5,
                                          .of = of_rows ? fg::sparsity_of::rows : fg::sparsity_of::tutorial}),
          2);
      net.parameters() += 0.2 * test::normal<double>(random, net.parameters().size(), 1);
      Matrix<double> x = test::normal<double>(random, 11, 6);
      const Matrix<double> y = net(x);
      const Index parameters = net.parameters().size() / 2;
      for (Index i = 0; i < 2; ++i) x = layer(x, net.parameters().data() + i * parameters, 3, sparsity, of_rows);
      CAPTURE(of_rows, sparsity);
      CHECK((y - x).cwiseAbs().maxCoeff() < 1e-12);
    }
}

TEST_CASE("the class drops a share of n, not of all scores") {
  Random random(1832);
  const Matrix<float> q = test::normal<float>(random, 40, 8), k = test::normal<float>(random, 30, 8);
  CHECK(fg::route(fg::scores(q, k) | fg::drop_smallest(0.9)).count() == 36);
  CHECK(fg::route(fg::scores(q, k) | fg::drop_smallest(0.04)).count() == 1);
  CHECK(fg::route(fg::scores(q, k) | fg::drop_smallest(0)).count() == 0);
}

TEST_CASE("drop_smallest drops the smallest scores, those of the highest keys among equal ones, and keeps NaN") {
  Random random(1833);
  for (int number = 0; number < 20; ++number) {
    const Index n = random.between(1, 70), m = random.between(1, 150), key_at = random.between(-9, 9);
    const double sparsity = static_cast<double>(random.between(0, 10)) / 10;
    const Matrix<double> q = test::normal<double>(random, n, 2).array().round(),
                         k = test::normal<double>(random, m, 2).array().round();
    const auto scores = fg::scores(q, k, {.scale = number % 2 == 0 ? 1.0 : -1.0, .key_at = key_at});
    const Matrix<double> s = (number % 2 == 0 ? 1.0 : -1.0) * (q * k.transpose());
    std::vector<Index> order(static_cast<std::size_t>(n * m));
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return s.data()[a] != s.data()[b] ? s.data()[a] < s.data()[b] : a > b; });
    const Index count = (std::min)(n * m, static_cast<Index>(static_cast<double>(n) * sparsity));
    Matrix<double> expected = s.array() + 100;  // no weight is 0
    for (Index e = 0; e < count; ++e) expected.data()[order[static_cast<std::size_t>(e)]] = 0;
    const Matrix<double> weights =
        scores | fg::drop_smallest(sparsity) | fg::map([](double x, Index, Index) { return x + 100; });
    CAPTURE(n, m, sparsity);
    CHECK(test::same(weights, expected));
  }
  Matrix<double> q = Matrix<double>::Ones(2, 1), k(2, 1);
  k << std::numeric_limits<double>::quiet_NaN(), 1;
  const Matrix<double> weights = fg::scores(q, k) | fg::drop_smallest(1);
  CHECK(std::isnan(weights(0, 0)));
  CHECK((weights(0, 1) == 0 && weights(1, 1) == 0));
  CHECK_THROWS_WITH(fg::drop_smallest(1.5),
                    "filigree: drop_smallest(sparsity): sparsity must be between 0 and 1, got 1.5");
}

TEST_CASE("gradients of sparse_transformer() match differences") {
  Random random(1834);
  for (const auto of : {fg::sparsity_of::rows, fg::sparsity_of::tutorial}) {
    auto net =
        fg::network(fg::sparse_transformer<double>(2, 4, fg::heads{2}, {.sparsity = 0.4, .dropout = 0.2, .of = of}), 1);
    net.parameters() += 0.3 * test::normal<double>(random, net.parameters().size(), 1);
    const Matrix<double> x = test::normal<double>(random, 9, 4), y = test::normal<double>(random, 9, 4);
    const fg::Batch batch{x, {5, 4}};
    fg::Pass pass(net);
    Eigen::VectorXd gradient;
    pass.gradient(net, batch, y, fg::squared_error(), gradient, 3);
    auto moved = net;
    const Eigen::VectorXd expected = test::differences(
        [&](const Eigen::VectorXd& parameters) {
          moved.parameters() = parameters;
          return pass.loss(moved, batch, y, fg::squared_error(), 3);
        },
        net.parameters(), 1e-5);
    CHECK(test::relative(gradient, expected) < 1e-6);
  }
}

TEST_CASE("layers without biases have none, also after training") {
  Random random(1835);
  auto net = fg::network(fg::linear(4, 3).without_bias() | fg::tanh() |
                             fg::attention(3, fg::heads{1}, fg::softmax(), {.bias = false}) |
                             fg::gated_feed_forward(3, 5, fg::silu(), {.bias = false}) | fg::linear(3, 2),
                         7);
  const Matrix<float> x = test::normal<float>(random, 30, 4), y = test::normal<float>(random, 30, 2);
  const float before = net.parameters()[0];
  fg::fit(net, fg::Batch{x, {10, 20}}, y, fg::squared_error(), fg::adam{.rate = 0.05},
          {.epochs = 5, .batch = 20, .progress = false});
  CHECK(net.parameters()[0] != before);
  CHECK(net.biases<0>().isZero(0));
  CHECK_FALSE(net.biases<4>().isZero(0));
  const Matrix<float> zeros = net.before<4>(Matrix<float>::Zero(2, 4));
  CHECK(zeros.isZero(0));
  net.biases<0>().setOnes();  // the network projects parameters before it uses them
  CHECK(net.before<4>(Matrix<float>::Zero(2, 4)).isZero(0));
  CHECK_FALSE(net.is_constrained());
}
