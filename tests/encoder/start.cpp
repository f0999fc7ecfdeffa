// SPDX-License-Identifier: MIT
// Initialization of autoencoders, and the constraints that training maintains.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("the geometric median minimizes the sum of distances") {
  Random random(701);
  for (const auto& [n, d] : {std::pair{1, 3}, {2, 2}, {7, 1}, {50, 4}}) {
    Matrix<double> x = test::normal<double>(random, n, d);
    x.row(0) *= 100;  // an outlier, which moves the mean but not the median
    const Eigen::VectorXd median = fg::geometric_median(x);
    const auto sum = [&](const Eigen::VectorXd& at) { return (x.rowwise() - at.transpose()).rowwise().norm().sum(); };
    for (int trial = 0; trial < 50; ++trial)
      CHECK(sum(median) <= sum(median + 0.01 * test::normal<double>(random, d, 1)) * (1 + 1e-6));
  }
  // The corners of a triangle with an angle above 120 degrees: the median is that corner, where Weiszfeld's plain
  // iteration fails.
  Matrix<double> corner(3, 2);
  corner << 0, 0, 10, 1, -10, 1;
  CHECK(fg::geometric_median(corner).norm() < 1e-6);
  const Matrix<double> same = Matrix<double>::Constant(5, 3, 2.5);
  CHECK((fg::geometric_median(same).array() == 2.5).all());
  CHECK_THROWS_WITH(fg::geometric_median(Matrix<double>(0, 3)),
                    "filigree: geometric_median(X): X must have at least 1 row");
  corner(1, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(fg::geometric_median(corner), "filigree: geometric_median(X): X must be finite");
}

TEST_CASE("tie makes the decoder the transpose of the encoder, with rows of length 1") {
  auto sae = fg::autoencoder(fg::pre_bias() | fg::linear(6, 40) | fg::top_k(2) | fg::relu(), fg::linear(40, 6), 3);
  const Matrix<float> before = sae.weights<1>();
  fg::tie(sae);
  const Matrix<float> encoder = sae.weights<1>(), decoder = sae.weights<4>();
  CHECK(test::same(encoder, Matrix<float>(decoder.transpose())));
  for (Index j = 0; j < 40; ++j) {
    CHECK(decoder.row(j).norm() == Approx(1));
    CHECK(decoder.row(j).dot(before.col(j)) == Approx(before.col(j).norm()));
  }
}

TEST_CASE("tie and resample treat a gated encoder like a linear one") {
  Random random(704);
  auto sae = fg::autoencoder(fg::pre_bias() | fg::gated(6, 40), fg::linear(40, 6), 3);
  fg::tie(sae);
  CHECK(test::same(Matrix<float>(sae.weights<1>()), Matrix<float>(sae.weights<2>().transpose())));
  sae.biases<1>().setOnes();
  const Matrix<float> x = test::normal<float>(random, 1, 6);  // one sample, so that the direction is known
  const Index dead[] = {7};
  fg::resample(sae, dead, x, 1);
  for (Index e = 0; e < 120; ++e) CHECK(sae.biases<1>()[e] == (e % 40 == 7 ? 0.0F : 1.0F));
  CHECK(sae.weights<2>().row(7).dot(x.row(0)) == Approx(x.norm()));
  CHECK(sae.weights<1>().col(7).norm() == Approx(0.2));
}

TEST_CASE("training with unit_norm_rows keeps rows at length 1 and projects the gradient onto the sphere") {
  Random random(702);
  const Matrix<double> x = test::normal<double>(random, 60, 5);
  auto sae = fg::autoencoder(fg::linear<double>(5, 30) | fg::top_k(2), fg::linear<double>(30, 5).unit_norm_rows(), 2);
  for (Index j = 0; j < 30; ++j) CHECK(sae.weights<2>().row(j).norm() == Approx(1));

  // One step by hand: subtract the gradient without its component along the row, then normalize the row.
  fg::Pass pass(sae);
  Eigen::VectorXd gradient;
  pass.gradient(sae, x, x, fg::squared_error(), gradient);
  Matrix<double> rows = sae.weights<2>();
  const Matrix<double> g = Eigen::Map<const Matrix<double>>(gradient.data() + sae.offset(2), 30, 5);
  for (Index j = 0; j < 30; ++j) {
    rows.row(j) -= 0.1 * (g.row(j) - g.row(j).dot(rows.row(j)) * rows.row(j));
    rows.row(j).normalize();
  }
  fg::fit(sae, x, fg::squared_error(), fg::sgd{.rate = 0.1}, {.epochs = 1});
  CHECK((sae.weights<2>() - rows).cwiseAbs().maxCoeff() < 1e-13);

  const auto report = fg::fit(sae, x, fg::squared_error(), fg::adam{.rate = 0.01}, {.epochs = 40, .batch = 20});
  CHECK(report.losses.back() < report.losses.front());
  for (Index j = 0; j < 30; ++j) CHECK(sae.weights<2>().row(j).norm() == Approx(1));
}

TEST_CASE("training keeps masked weights at 0 and non_negative weights at or above 0") {
  Random random(703);
  const Matrix<double> x = test::normal<double>(random, 60, 5).cwiseAbs();
  auto dense = fg::network(fg::linear<double>(5, 8) | fg::tanh() | fg::linear<double>(8, 5), 2);
  const Matrix<double> kept = Matrix<double>(dense.weights<0>()) | fg::prune_magnitude(0.6);
  auto pruned =
      fg::network(fg::linear<double>(5, 8).masked(kept) | fg::tanh() | fg::linear<double>(8, 5).non_negative(), 2);
  CHECK(test::same(Matrix<double>(pruned.weights<0>()), kept));
  fg::fit(pruned, x, x, fg::squared_error(), fg::adamw{.rate = 0.05}, {.epochs = 30, .batch = 7});
  const Matrix<double> w = pruned.weights<0>();
  CHECK(((w.array() == 0) == (kept.array() == 0)).all());
  CHECK((w - kept).norm() > 0.1);
  CHECK((pruned.weights<2>().array() >= 0).all());
  CHECK((pruned.weights<2>().array() > 0).any());
  CHECK_THROWS_WITH(fg::linear(3, 4).masked(Matrix<float>(4, 3)),
                    "filigree: linear(3, 4).masked(mask): the mask must be 3 x 4, got 4 x 3");
}
