// SPDX-License-Identifier: MIT
// loss_and_gradient: against differences and Pass; targets that are the samples; the memory of fit.
#include <filigree/filigree.hpp>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

#if FILIGREE_COUNTS_ALLOCATIONS
#include <sys/resource.h>
#endif

namespace fg = filigree;
using test::Index;
using test::Random;
using Matrix = test::Matrix<double>;

TEST_CASE("loss_and_gradient returns the loss and its derivatives") {
  Random random(681);
  const Matrix x = test::normal<double>(random, 40, 6), y = test::normal<double>(random, 40, 3);
  const auto net = fg::network(fg::linear<double>(6, 5) | fg::tanh() | fg::linear<double>(5, 3), 2);
  const auto objective = fg::squared_error() + 0.1 * fg::weight_decay();
  const auto [loss, gradient] = fg::loss_and_gradient(net, x, y, objective);
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return fg::loss_and_gradient(moved, x, y, objective).loss;
      },
      net.parameters());
  CHECK(test::relative(gradient, expected) < 1e-7);
  fg::Pass pass(net);
  Eigen::VectorXd same;
  CHECK(pass.gradient(net, x, y, objective, same) == loss);
  CHECK(test::same(same, gradient));
}

TEST_CASE("without targets, the samples are the targets") {
  Random random(682);
  const Matrix x = test::normal<double>(random, 40, 6).cwiseMax(0), copy = x;
  const auto net =
      fg::autoencoder(fg::pre_bias() | fg::linear<double>(6, 40) | fg::top_k(2), fg::linear<double>(40, 6));
  const auto check = [&](const auto& samples, const auto& targets) {
    const auto [loss, gradient] = fg::loss_and_gradient(net, samples, fg::squared_error());
    const auto expected = fg::loss_and_gradient(net, samples, targets, fg::squared_error());
    CHECK(loss == expected.loss);
    CHECK(test::same(gradient, expected.gradient));
    fg::Pass pass(net);
    Eigen::VectorXd same;
    CHECK(pass.gradient(net, samples, fg::squared_error(), same) == loss);
    CHECK(test::same(same, gradient));
    CHECK(pass.loss(net, samples, fg::squared_error()) == Approx(loss).epsilon(1e-13));
    auto one = net, two = net;
    for (const Index batch : {0, 16}) {
      fg::fit(one, samples, fg::squared_error(), fg::adam{}, {.epochs = 2, .batch = batch});
      fg::fit(two, samples, targets, fg::squared_error(), fg::adam{}, {.epochs = 2, .batch = batch});
      CHECK(test::same(one.parameters(), two.parameters()));
    }
  };
  const Eigen::SparseMatrix<double, Eigen::RowMajor> rows = x.sparseView();
  const Eigen::SparseMatrix<double> columns = x.sparseView();
  Matrix wide(40, 9);
  wide.middleCols(2, 6) = x;
  check(x, copy);
  check(Eigen::MatrixXd(x), copy);
  check(wide.middleCols(2, 6), copy);
  check(1.0 * x, copy);
  check(rows, copy);
  check(columns, copy);
}

#if FILIGREE_COUNTS_ALLOCATIONS
TEST_CASE("fit does not copy samples that are stored as rows") {
  const Index n = 200'000, d = 64;
  test::Matrix<float> x(n, d);
  for (Index e = 0; e < x.size(); ++e) x.data()[e] = static_cast<float>(e % 17) / 17;
  const auto peak = [] {
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024;
  };
  auto sae = fg::autoencoder(fg::linear(d, 32) | fg::top_k(2), fg::linear(32, d));
  const double before = peak();
  fg::fit(sae, x, fg::squared_error(), fg::adam{}, {.epochs = 1, .batch = 1024});
  CHECK(peak() - before < 0.3 * static_cast<double>(x.size()) * sizeof(float));
}
#endif
