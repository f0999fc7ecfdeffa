// SPDX-License-Identifier: MIT
// Denoising autoencoders of sparse interactions with the multinomial loss.
#include <cmath>
#include <filigree/nn/nn.hpp>
#include <filigree/normalize/dropout.hpp>
#include <filigree/recommend/recommend.hpp>
#include <filigree/score_map/tanh.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Dense = test::Matrix<double>;
using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;

namespace {

/// Counts from 0 to 3, most of them 0. User 1 has none.
Dense counts(Random& random, Index users, Index items) {
  Dense x = Dense::Zero(users, items);
  for (Index u = 0; u < users; ++u)
    for (Index i = 0; i < items; ++i)
      if (u != 1 && random.chance(0.15)) x(u, i) = static_cast<double>(random.between(1, 3));
  return x;
}

}  // namespace

TEST_CASE("the multinomial loss of sparse rows matches its formula, and its gradient differences") {
  Random random(721);
  const Index users = 9, items = 30;
  const Dense x = counts(random, users, items);
  const Sparse sparse = x.sparseView();
  const auto net = fg::network(fg::linear<double>(items, 5) | fg::tanh() | fg::linear<double>(5, items), 4);
  const Dense y = net(sparse);
  double sum = 0;
  for (Index u = 0; u < users; ++u)
    for (Index i = 0; i < items; ++i) sum -= x(u, i) * (y(u, i) - std::log(y.row(u).array().exp().sum()));
  fg::Pass pass(net);
  CHECK(pass.loss(net, sparse, sparse, fg::multinomial()) == Approx(sum / users).epsilon(1e-12));

  // With dropout of the inputs, for the same draw. Inputs and targets are sparse or dense, the same or not.
  const auto noisy =
      fg::network(fg::dropout(0.5, 3) | fg::linear<double>(items, 5) | fg::tanh() | fg::linear<double>(5, items), 4);
  fg::Pass noisy_pass(noisy);
  Eigen::VectorXd gradient, of_dense;
  const double loss = noisy_pass.gradient(noisy, sparse, sparse, fg::multinomial(), gradient, 17);
  const auto moved = [&](const Eigen::VectorXd& parameters) {
    auto other = noisy;
    other.parameters() = parameters;
    return noisy_pass.loss(other, sparse, sparse, fg::multinomial(), 17);
  };
  CHECK(test::relative(gradient, test::differences(moved, noisy.parameters())) < 1e-8);
  CHECK(noisy_pass.loss(noisy, sparse, sparse, fg::multinomial(), 18) != Approx(loss).epsilon(1e-12));
  CHECK(noisy_pass.gradient(noisy, x, x, fg::multinomial(), of_dense, 17) == Approx(loss).epsilon(1e-12));
  CHECK(test::relative(of_dense, gradient) < 1e-12);
  CHECK(noisy_pass.gradient(noisy, sparse, x, fg::multinomial(), of_dense, 17) == Approx(loss).epsilon(1e-12));
  CHECK(test::relative(of_dense, gradient) < 1e-12);
}

TEST_CASE("a denoising autoencoder of sparse rows learns which items belong together") {
  Random random(722);
  const Index users = 200, items = 24;  // user u likes the items of group u mod 3
  Sparse x(users, items);
  for (Index u = 0; u < users; ++u)
    for (Index i = 0; i < items; ++i)
      if (i % 3 == u % 3 && random.chance(0.6)) x.insert(u, i) = 1;
  auto net =
      fg::network(fg::dropout(0.5, 3) | fg::linear<double>(items, 8) | fg::tanh() | fg::linear<double>(8, items), 4);
  const auto report = fg::fit(net, x, fg::multinomial(), fg::adam{.rate = 0.02}, {.epochs = 40, .batch = 20});
  CHECK(report.losses.back() < 0.8 * report.losses.front());
  const auto best = fg::best_unseen(net(x), x, 1);
  Index right = 0, counted = 0;
  for (Index u = 0; u < users; ++u) {
    if (x.row(u).nonZeros() == 0 || x.row(u).nonZeros() == items / 3) continue;
    right += best.columns(u, 0) % 3 == u % 3 ? 1 : 0;
    ++counted;
  }
  CHECK(right > 0.95 * static_cast<double>(counted));
}
