// SPDX-License-Identifier: MIT
// Autoencoders whose encoder is matching pursuit by the atoms of the decoder, against loops.
#include <cmath>
#include <filigree/coding/encode.hpp>
#include <filigree/coding/pursuit_layer.hpp>
#include <filigree/core/thread_pool.hpp>
#include <filigree/encoder/autoencoder.hpp>
#include <filigree/nn/nn.hpp>
#include <limits>
#include <vector>

#include "../nn/differences.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Dense = test::Matrix<double>;
using Map = Eigen::Map<const Dense>;

namespace {

Dense normal(Random& random, Index n, Index m) {
  Dense x(n, m);
  for (Index e = 0; e < x.size(); ++e) x.data()[e] = random.normal();
  return x;
}

/// The atoms that the steps choose for each sample.
using Choices = std::vector<std::vector<Index>>;

Choices choose(const Dense& x, const Dense& atoms, Index k, bool non_negative, double tolerance) {
  Choices chosen(static_cast<std::size_t>(x.rows()));
  for (Index i = 0; i < x.rows(); ++i) {
    Eigen::RowVectorXd r = x.row(i);
    for (Index t = 0; t < k && r.norm() > tolerance; ++t) {
      Index best = -1;
      double largest = 1e-12;
      for (Index j = 0; j < atoms.rows(); ++j) {
        const double h = atoms.row(j).dot(r), size = non_negative ? h : std::abs(h);
        if (size > largest) {
          largest = size;
          best = j;
        }
      }
      if (best < 0) break;
      r -= atoms.row(best).dot(r) * atoms.row(best);
      chosen[static_cast<std::size_t>(i)].push_back(best);
    }
  }
  return chosen;
}

/// The codes for given choices. Atoms need not have length 1.
Dense codes_of(const Dense& x, const Dense& atoms, const Choices& chosen) {
  Dense codes = Dense::Zero(x.rows(), atoms.rows());
  for (Index i = 0; i < x.rows(); ++i) {
    Eigen::RowVectorXd r = x.row(i);
    for (const Index j : chosen[static_cast<std::size_t>(i)]) {
      const double c = atoms.row(j).dot(r);
      codes(i, j) += c;
      r -= c * atoms.row(j);
    }
  }
  return codes;
}

auto model(Index latents, Index d, const fg::matching_pursuit& method) {
  return fg::autoencoder(fg::pre_bias() | fg::pursuit(d, latents, method),
                         fg::linear<double>(latents, d).unit_norm_rows(), 3);
}

}  // namespace

TEST_CASE("the codes of pursuit are those of matching pursuit") {
  Random random(801);
  for (const Index d : {1, 5, 16})
    for (const Index latents : {1, 7, 40})
      for (const fg::matching_pursuit& method : {fg::matching_pursuit{.k = 1},
                                                 {.k = 4},
                                                 {.k = 25},
                                                 {.k = 6, .non_negative = true},
                                                 {.k = 9, .tolerance = 1.5}}) {
        CAPTURE(d, latents, method.k, method.non_negative, method.tolerance);
        const Dense x = normal(random, 70, d);
        auto sae = model(latents, d, method);
        auto bias = sae.biases<2>();
        for (Index f = 0; f < d; ++f) bias[f] = 0.3 * random.normal();
        const Dense centered = x.rowwise() - bias.transpose(), atoms = sae.weights<2>();
        const Dense expected =
            codes_of(centered, atoms, choose(centered, atoms, method.k, method.non_negative, method.tolerance));
        CHECK((sae.encode(x) - expected).cwiseAbs().maxCoeff() < 1e-11);
        // encode() computes residuals from the Gram matrix, so that rounding decides between equal atoms (d = 1).
        if (d > 1) CHECK((Dense(fg::encode(centered, atoms, method)) - expected).cwiseAbs().maxCoeff() < 1e-6);
        CHECK((sae(x) - Dense((expected * atoms).rowwise() + bias.transpose())).cwiseAbs().maxCoeff() < 1e-11);
        if (method.non_negative) CHECK(sae.encode(x).minCoeff() >= 0);
      }
  auto sae = model(6, 4, {.k = 3});
  CHECK(sae.encode(Dense(Dense::Zero(2, 4))) == Dense::Zero(2, 6));
  CHECK(sae.encode(Dense(0, 4)).rows() == 0);
  Dense x = normal(random, 3, 4);
  const Dense alone = sae(x);
  x(1, 2) = std::nan("");
  const Dense with_nan = sae(x);
  CHECK(with_nan.row(0) == alone.row(0));
  CHECK(with_nan.row(2) == alone.row(2));
  for (Index f = 0; f < 4; ++f) CHECK(std::isnan(with_nan(1, f)));
}

TEST_CASE("gradients pass through all steps of pursuit") {
  Random random(802);
  // More steps than dimensions choose atoms repeatedly.
  for (const fg::matching_pursuit& method :
       {fg::matching_pursuit{.k = 1}, {.k = 3}, {.k = 12}, {.k = 5, .non_negative = true}, {.k = 8, .tolerance = 1}}) {
    CAPTURE(method.k, method.non_negative);
    const Index d = 5, latents = 9, n = 70;
    const Dense x = normal(random, n, d), y = normal(random, n, d);
    auto sae = fg::autoencoder(fg::linear<double>(d, d) | fg::pre_bias() | fg::pursuit(d, latents, method),
                               fg::linear<double>(latents, d).unit_norm_rows(), 7);
    for (Index f = 0; f < d; ++f) sae.biases<3>()[f] = 0.2 * random.normal();
    const Index decoder = d * d + d;
    const auto inputs = [&](const Eigen::VectorXd& p) {
      Dense z = x * Map(p.data(), d, d);
      z.rowwise() += Eigen::Map<const Eigen::RowVectorXd>(p.data() + d * d, d) -
                     Eigen::Map<const Eigen::RowVectorXd>(p.data() + decoder + latents * d, d);
      return z;
    };
    const Eigen::VectorXd at = sae.parameters();
    const Choices chosen = choose(inputs(at), sae.weights<3>(), method.k, method.non_negative, method.tolerance);
    std::size_t steps = 0;
    for (const auto& row : chosen) steps += row.size();
    CHECK(steps >= static_cast<std::size_t>(n));
    const auto loss = [&](const Eigen::VectorXd& p) {
      const Map atoms(p.data() + decoder, latents, d);
      Dense out = codes_of(inputs(p), atoms, chosen) * atoms;
      out.rowwise() += Eigen::Map<const Eigen::RowVectorXd>(p.data() + decoder + latents * d, d);
      return (out - y).squaredNorm() / static_cast<double>(n);
    };
    fg::Pass<decltype(sae)> pass(sae);
    Eigen::VectorXd gradient;
    CHECK(pass.gradient(sae, x, y, fg::squared_error(), gradient) == Approx(loss(at)).epsilon(1e-12));
    CHECK(test::relative(gradient, test::differences(loss, at)) < 1e-7);
  }
}

TEST_CASE("gradients of pursuit are the same bits for any number of threads, and without a bias") {
  Random random(803);
  const Index d = 16, latents = 200;
  const test::Matrix<float> x = test::normal<float>(random, 300, d);
  auto sae = fg::autoencoder(fg::pursuit(d, latents, {.k = 4}), fg::linear(latents, d).unit_norm_rows().without_bias());
  Eigen::VectorXf one, three;
  fg::Pass<decltype(sae)> serial(sae);
  fg::ThreadPool pool(3);
  fg::Pass<decltype(sae)> threaded(sae, pool);
  const double loss = serial.gradient(sae, x, fg::squared_error(), one);
  CHECK(threaded.gradient(sae, x, fg::squared_error(), three) == loss);
  CHECK(test::same(one, three));
}

TEST_CASE("an autoencoder with pursuit learns a dictionary") {
  Random random(804);
  const Index d = 12, count = 24, n = 2000;
  Dense atoms = normal(random, count, d);
  atoms.rowwise().normalize();
  Dense x = Dense::Zero(n, d);
  for (Index i = 0; i < n; ++i)
    for (int s = 0; s < 2; ++s) x.row(i) += random.uniform(0.5, 1.5) * atoms.row(random.between(0, count - 1));
  auto sae = model(36, d, {.k = 2, .non_negative = true});
  const auto error = [&] { return (sae(x) - x).squaredNorm() / x.squaredNorm(); };
  const double before = error();
  fg::fit(sae, x, fg::squared_error(), fg::adam{.rate = 0.02}, {.epochs = 30, .batch = 100, .progress = false});
  CHECK(before > 0.3);
  CHECK(error() < 0.05);
  const Dense learned = sae.weights<2>();
  for (Index j = 0; j < learned.rows(); ++j) CHECK(learned.row(j).norm() == Approx(1).epsilon(1e-12));
  Index found = 0;
  for (Index j = 0; j < count; ++j) found += (learned * atoms.row(j).transpose()).maxCoeff() > 0.95 ? 1 : 0;
  CHECK(found >= 20);
}

TEST_CASE("invalid arguments of pursuit are rejected") {
  CHECK_THROWS_WITH(fg::pursuit(0, 5, {.k = 1}),
                    "filigree: pursuit(in, latents, method): in must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::pursuit(4, 0, {.k = 1}),
                    "filigree: pursuit(in, latents, method): latents must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::pursuit(4, 5, {.tolerance = 1}),
                    "filigree: pursuit(in, latents, {.k}): k must be at least 1, got 0");
  CHECK_THROWS_AS(fg::pursuit(4, 5, {.k = 1, .tolerance = -1}), fg::Error);
  const char* const decoder =
      "filigree: pursuit(4, 5, method): the rows of the last layer are the atoms: it must be linear(5, "
      "4).unit_norm_rows()";
  CHECK_THROWS_WITH(fg::autoencoder(fg::pursuit(4, 5, {.k = 1}), fg::linear(5, 4)), decoder);
  CHECK_THROWS_WITH(fg::transcoder(fg::linear(3, 4) | fg::pursuit(4, 5, {.k = 1}), fg::linear(5, 3).unit_norm_rows()),
                    decoder);
  CHECK_THROWS_WITH(fg::transcoder(fg::linear(4, 3) | fg::pursuit(4, 5, {.k = 1}), fg::linear(5, 4).unit_norm_rows()),
                    "filigree: pursuit(4, 5, method): gets 3 columns from the stage before it, not 4");
}
