// SPDX-License-Identifier: MIT
// Operations on trained autoencoders: calibrated thresholds and resampled latents.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("a calibrated threshold keeps the same latents as batch_top_k applied to all samples together") {
  Random random(741);
  for (const Index n : {1, 50, 3000}) {
    const Matrix<double> x = test::normal<double>(random, n, 6);
    auto sae = fg::autoencoder(fg::pre_bias() | fg::linear<double>(6, 40) | fg::batch_top_k(3) | fg::relu(),
                               fg::linear<double>(40, 6), 4);
    sae.parameters() = 0.5 * test::normal<double>(random, sae.parameters().size(), 1);
    const auto fixed = fg::calibrated(sae, x);
    CHECK(fg::l0(fixed.encode(x)) == Approx(fg::l0(sae.encode(x))));
    CHECK((fixed.encode(x) - sae.encode(x)).cwiseAbs().maxCoeff() == 0);
    CHECK(test::same(fixed.parameters(), sae.parameters()));
    // With a threshold, the code of a sample does not depend on the other samples, unlike with batch_top_k.
    CHECK((fixed.encode(x.topRows(1)) - fixed.encode(x).topRows(1)).norm() < 1e-12);
  }
  const auto all = fg::autoencoder(fg::linear<double>(6, 4) | fg::batch_top_k(9), fg::linear<double>(4, 6));
  const Matrix<double> x = test::normal<double>(random, 5, 6);
  CHECK((fg::calibrated(all, x).encode(x) - all.encode(x)).norm() < 1e-12);
  CHECK_THROWS_WITH(fg::calibrated(all, x.topRows(0)), "filigree: calibrated(sae, X): X must have at least 1 row");
  Matrix<double> bad = x;
  bad(3, 2) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(
      fg::calibrated(all, bad),
      "filigree: calibrated(sae, X): the inputs of batch_top_k must be finite; latent 0 of sample 3 is nan");
}

TEST_CASE("resampled latents take the directions of badly reconstructed samples") {
  Random random(742);
  Matrix<double> x = 0.01 * test::normal<double>(random, 100, 5);
  x.row(37) << 3, -4, 0, 0, 0;  // the only sample with a large error
  auto sae = fg::autoencoder(fg::pre_bias() | fg::linear<double>(5, 20) | fg::top_k(2) | fg::relu(),
                             fg::linear<double>(20, 5), 4);
  sae.parameters() *= 0.1;
  const auto before = sae;
  const std::vector<Index> dead = {3, 19};
  fg::resample(sae, dead, x, 1);
  double length = 0;
  for (Index j = 0; j < 20; ++j)
    if (j != 3 && j != 19) length += before.weights<1>().col(j).norm() / 18;
  Eigen::RowVectorXd direction(5);
  direction << 0.6, -0.8, 0, 0, 0;
  for (Index j = 0; j < 20; ++j) {
    if (j == 3 || j == 19) {
      CHECK((sae.weights<4>().row(j) - direction).norm() < 1e-12);
      CHECK((sae.weights<1>().col(j) - 0.2 * length * direction.transpose()).norm() < 1e-12);
      CHECK(sae.biases<1>()[j] == 0);
    } else {
      CHECK(test::same(Eigen::VectorXd(sae.weights<1>().col(j)), Eigen::VectorXd(before.weights<1>().col(j))));
    }
  }
  CHECK(test::same(Eigen::VectorXd(sae.biases<4>()), Eigen::VectorXd(before.biases<4>())));
  const std::vector<Index> wrong = {20};
  CHECK_THROWS_WITH(fg::resample(sae, wrong, x, 1),
                    "filigree: resample(sae, dead, X, seed): a latent must be from 0 to 19, got 20");
}
