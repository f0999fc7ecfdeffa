// SPDX-License-Identifier: MIT
// Pooling of sequences: values by formulas, gradients by differences, training with one target for each sequence.
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

/// Pools the sequences of x, column by column.
Matrix<double> pooled(const Matrix<double>& x, const Lengths& lengths, const std::string& kind) {
  Matrix<double> y(static_cast<Index>(lengths.size()), x.cols());
  Index first = 0, s = 0;
  for (const Index length : lengths) {
    const Matrix<double> tokens = x.middleRows(first, length);
    if (kind == "mean")
      y.row(s++) = tokens.colwise().sum() / static_cast<double>(length);
    else if (kind == "sum")
      y.row(s++) = tokens.colwise().sum();
    else if (kind == "first")
      y.row(s++) = tokens.row(0);
    else
      y.row(s++) = tokens.colwise().maxCoeff();
    first += length;
  }
  return y;
}

/// Compares outputs with pooled(), and the gradient of all parameters with differences.
template <class Pool>
void check(const Pool& pool, const std::string& kind) {
  Random random(1821);
  const Lengths lengths = {3, 1, 70, 2};
  const Matrix<double> x = test::normal<double>(random, 76, 4), y = test::normal<double>(random, 4, 3);
  const fg::Batch batch{x, lengths};
  auto net = fg::network(fg::linear<double>(4, 5) | pool | fg::tanh() | fg::linear<double>(5, 3), 3);
  net.parameters() += 0.3 * test::normal<double>(random, net.parameters().size(), 1);
  const Matrix<double> before = net.template before<1>(batch);
  CHECK(test::relative(net.template before<2>(batch), pooled(before, lengths, kind)) < 1e-14);
  CHECK(test::same(net.template before<2>(x), net.template before<2>(fg::Batch{x, {76}})));

  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  const double loss = pass.gradient(net, batch, y, fg::squared_error(), gradient);
  CHECK(loss == Approx((net(batch) - y).squaredNorm() / 4));
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return pass.loss(moved, batch, y, fg::squared_error());
      },
      net.parameters(), 1e-4);
  CHECK(test::relative(gradient, expected) < 1e-7);
  fg::thread_pool threads(3);
  fg::Pass other(net, fg::ExecutorRef(threads));
  Eigen::VectorXd same;
  other.gradient(net, batch, y, fg::squared_error(), same);
  CHECK(test::same(same, gradient));
}

}  // namespace

TEST_CASE("pooling computes its formulas and gradients") {
  check(fg::pool_mean(), "mean");
  check(fg::pool_first(), "first");
  check(fg::pool_max(), "max");
  check(fg::pool_sum(), "sum");
}

TEST_CASE("pool_max gives the gradient to the first maximum, and NaN is the maximum") {
  auto net = fg::network(fg::linear<double>(1, 1) | fg::pool_max() | fg::linear<double>(1, 1));
  net.parameters() << 1, 0, 1, 0;
  Matrix<double> x(4, 1), y(1, 1);
  x << 2, 5, 5, 1;
  y << 4;
  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  pass.gradient(net, x, y, fg::squared_error(), gradient);
  CHECK(gradient[0] == 10);  // 2 (5 − 4) x, with the x of one token only
  CHECK(gradient[1] == 2);
  x(3, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(net(x)(0, 0)));
}

TEST_CASE("a classifier of sequences learns, with the same bits for any number of threads and after a checkpoint") {
  Random random(1822);
  Lengths lengths;
  std::vector<int> ids;
  Matrix<float> targets = Matrix<float>::Zero(200, 2);
  for (Index s = 0; s < 200; ++s) {  // does token 3 occur?
    lengths.push_back(random.between(1, 9));
    bool occurs = false;
    for (Index i = 0; i < lengths.back(); ++i) {
      ids.push_back(static_cast<int>(random.between(0, 9)));
      occurs = occurs || ids.back() == 3;
    }
    targets(s, occurs ? 1 : 0) = 1;
  }
  const Eigen::VectorXi tokens = Eigen::Map<Eigen::VectorXi>(ids.data(), static_cast<Index>(ids.size()));
  const fg::Batch batch{tokens, lengths};
  const auto make = [] {
    return fg::network(
        fg::embedding(10, 8) | fg::attention(8, fg::heads{2}, fg::softmax()) | fg::pool_max() | fg::linear(8, 2), 5);
  };
  auto net = make(), same = make(), resumed = make();
  const fg::adam adam = {.rate = 0.02};
  const auto report =
      fg::fit(net, batch, targets, fg::squared_error(), adam, {.epochs = 20, .batch = 64, .progress = false});
  CHECK(report.losses.back() < 0.1 * report.losses.front());
  fg::Pass pass(net);
  CHECK(report.losses.back() < 2 * pass.loss(net, batch, targets, fg::squared_error()) + 0.05);
  fg::thread_pool pool(3);
  fg::fit(same, batch, targets, fg::squared_error(), adam,
          {.epochs = 20, .batch = 64, .progress = false, .executor = fg::ExecutorRef(pool)});
  CHECK(test::same(net.parameters(), same.parameters()));

  // One step on all sequences is a step on the average of their losses.
  auto once = make();
  const auto whole =
      fg::fit(once, batch, targets, fg::squared_error(), adam, {.epochs = 1, .batch = 0, .progress = false});
  CHECK(whole.losses[0] == Approx(fg::Pass(resumed).loss(resumed, batch, targets, fg::squared_error())));
}

TEST_CASE("pooling with lengths pools matrices, and replaces the lengths of a Batch") {
  Random random(1823);
  const Matrix<double> x = test::normal<double>(random, 76, 4);
  const Lengths lengths = {3, 1, 70, 2};
  const Matrix<double> largest = x | fg::pool_max(lengths), sums = x | fg::pool_sum(lengths);
  CHECK(test::same(largest, pooled(x, lengths, "max")));
  CHECK(test::relative(sums, pooled(x, lengths, "sum")) < 1e-14);
  const Matrix<double> kept = x.topRows(4) | fg::pool_max({4}) | fg::top_k(1);
  CHECK(kept.maxCoeff() == x.topRows(4).maxCoeff());
  const Matrix<double> all = x | fg::pool_sum();
  const Matrix<double> total = x.colwise().sum();
  CHECK((all - total).cwiseAbs().maxCoeff() < 1e-13);
  const auto net = fg::network(fg::linear<double>(4, 5) | fg::pool_sum(lengths), 3);
  const auto batched = fg::network(fg::linear<double>(4, 5) | fg::pool_sum(), 3);
  CHECK(test::same(net(x), batched(fg::Batch{x, lengths})));
  CHECK(test::same(net(fg::Batch{x, {76}}), net(x)));
  fg::Pass pass(net), other(batched);
  const Matrix<double> y = test::normal<double>(random, 4, 5);
  Eigen::VectorXd gradient, expected;
  CHECK(pass.gradient(net, x, y, fg::squared_error(), gradient) ==
        other.gradient(batched, fg::Batch{x, lengths}, y, fg::squared_error(), expected));
  CHECK(test::same(gradient, expected));
}

TEST_CASE("pooling rejects invalid lengths") {
  const Matrix<float> x = Matrix<float>::Ones(4, 2);
  CHECK_THROWS_WITH(fg::pool_max({}), "filigree: pool_max(lengths): lengths must have at least one sequence");
  CHECK_THROWS_WITH(fg::pool_sum({2, 0}), "filigree: pool_sum(lengths): lengths[1] must be at least 1, got 0");
  CHECK_THROWS_WITH(x | fg::pool_max({2, 1}),
                    "filigree: pool_max(lengths): the lengths sum to 3, they must sum to the 4 rows");
  CHECK_THROWS_WITH(x | fg::pool_sum({5}),
                    "filigree: pool_sum(lengths): the lengths sum to 5, they must sum to the 4 rows");
}

TEST_CASE("pooling rejects invalid networks and targets") {
  const Matrix<float> x = Matrix<float>::Ones(4, 2);
  auto net = fg::network(fg::linear(2, 2) | fg::pool_mean() | fg::linear(2, 2));
  fg::Pass pass(net);
  CHECK_THROWS_WITH(pass.loss(net, fg::Batch{x, {3, 1}}, x, fg::squared_error()),
                    "filigree: pass: Y.rows() = 4 must be the number of sequences, 2, which the network pools");
  CHECK_THROWS_WITH(fg::fit(net, fg::Batch{x, {3, 1}}, x, fg::squared_error(), fg::adam{}, {.progress = false}),
                    "filigree: fit: Y.rows() = 4 must be the number of sequences, 2, which the network pools");
  CHECK_THROWS_WITH(fg::network(fg::residual(fg::pool_mean()) | fg::linear(2, 2)),
                    "filigree: sum(branches), residual(f): a branch cannot pool sequences; pool after the branches");
  CHECK_THROWS_WITH(fg::network(fg::repeat(2, fg::linear(2, 2) | fg::pool_mean())),
                    "filigree: repeat(count, layers): the layers cannot pool sequences; pool after them");
  const auto twice = fg::network(fg::linear(2, 2) | fg::pool_mean() | fg::pool_mean());
  CHECK_THROWS_WITH(
      twice(fg::Batch{x, {3, 1}}),
      "filigree: network: a layer that reads sequences, such as attention, gets 2 rows for the 4 tokens of "
      "the Batch; it must stand before the pooling of sequences");
}
