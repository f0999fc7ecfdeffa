// SPDX-License-Identifier: MIT
// Sparse samples give the same results as dense samples.
#include <filigree/filigree.hpp>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;
using Rows = Eigen::SparseMatrix<double, Eigen::RowMajor>;
using Columns = Eigen::SparseMatrix<double>;

namespace {

/// Returns a sparse matrix in which about one of `every` entries is stored.
Rows sparse(Random& random, Index n, Index cols, int every) {
  Rows x(n, cols);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < cols; ++j)
      if (random.between(1, every) == 1) x.insert(i, j) = random.uniform(-1, 1);
  x.makeCompressed();
  return x;
}

}  // namespace

TEST_CASE("sparse and dense samples have the same loss and gradient") {
  Random random(721);
  for (const int every : {2, 40})  // dense matrices, and lists
    for (const Index n : {0, 1, 7, 150}) {
      const Rows rows = sparse(random, n, 300, every);
      const Columns columns = rows;
      const Matrix<double> x = rows, y = test::normal<double>(random, n, 5);
      const auto check = [&](const auto& net, const auto& targets) {
        fg::Pass dense(net), by_rows(net), by_columns(net);
        Eigen::VectorXd expected, first, second;
        const double value = dense.gradient(net, x, targets, fg::squared_error(), expected);
        CHECK(by_rows.gradient(net, rows, targets, fg::squared_error(), first) == Approx(value).epsilon(1e-13));
        CHECK(by_columns.gradient(net, columns, targets, fg::squared_error(), second) == Approx(value).epsilon(1e-13));
        CHECK((first - expected).norm() <= 1e-12 * expected.norm());
        CHECK(test::same(first, second));
        CHECK((net(rows) - net(x)).norm() <= 1e-12 * net(x).norm());
      };
      check(fg::network(fg::linear<double>(300, 9) | fg::tanh() | fg::linear<double>(9, 5), 3), y);
      check(fg::network(fg::linear<double>(300, 64) | fg::top_k(3) | fg::linear<double>(64, 5), 3), y);
      check(
          fg::autoencoder(fg::pre_bias() | fg::linear<double>(300, 64) | fg::top_k(3), fg::linear<double>(64, 300), 3),
          x);
      const auto sae = fg::autoencoder(fg::linear<double>(300, 20) | fg::relu(), fg::linear<double>(20, 300), 3);
      check(sae, rows);
      CHECK((sae.encode(columns) - sae.encode(x)).norm() <= 1e-12 * sae.encode(x).norm());
    }
}

TEST_CASE("training on sparse samples matches training on dense samples") {
  Random random(722);
  const Rows rows = sparse(random, 90, 200, 40);
  const auto train = [&](const auto& x, fg::ExecutorRef executor) {
    auto sae = fg::autoencoder(fg::linear<double>(200, 30) | fg::top_k(4), fg::linear<double>(30, 200), 3);
    fg::fit(sae, x, fg::squared_error(), fg::adam{.rate = 0.01}, {.epochs = 3, .batch = 16, .executor = executor});
    return sae.parameters();
  };
  const fg::ExecutorRef serial(fg::serial());
  const Eigen::VectorXd expected = train(Matrix<double>(rows), serial), actual = train(rows, serial);
  CHECK((actual - expected).norm() < 1e-9 * expected.norm());
  fg::thread_pool pool(3);
  CHECK(test::same(train(rows, fg::ExecutorRef(pool)), actual));
  CHECK(test::same(train(Columns(rows), serial), actual));

  Rows bad = rows;
  bad.coeffRef(7, 11) = std::numeric_limits<double>::infinity();
  auto net = fg::network(fg::linear<double>(200, 2));
  CHECK_THROWS_WITH(fg::fit(net, bad, Matrix<double>(90, 2).setZero(), fg::squared_error(), fg::sgd{}),
                    "filigree: fit: X(7, 11) must be finite, got inf");
}

#if FILIGREE_COUNTS_ALLOCATIONS
TEST_CASE("the second pass over sparse samples allocates nothing") {
  Random random(723);
  const Rows rows = sparse(random, 90, 200, 40);
  const Matrix<double> y = test::normal<double>(random, 90, 2);
  const auto net = fg::network(fg::linear<double>(200, 2));
  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  pass.gradient(net, rows, y, fg::squared_error(), gradient);
  CHECK(test::allocated_by([&] { pass.gradient(net, rows, y, fg::squared_error(), gradient); }) == 0);
}
#endif
