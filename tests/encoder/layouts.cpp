// SPDX-License-Identifier: MIT
// Weights of autoencoders: Gemma Scope files, thresholds, gates, and errors.
#include <unistd.h>

#include <cstdio>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

struct File {
  explicit File(const std::string& name) : path("/tmp/filigree_" + std::to_string(::getpid()) + "_" + name) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::remove(path.c_str()); }
  std::string path;
};

auto jumping() { return fg::autoencoder(fg::linear(6, 20) | fg::jump_relu(20, {.theta = 0.2}), fg::linear(20, 6), 3); }

}  // namespace

TEST_CASE("weights of a JumpReLU autoencoder survive a round trip through a Gemma Scope file") {
  Random random(751);
  const File file("params.npz");
  auto sae = jumping();
  sae.parameters() = 0.5F * test::normal<float>(random, sae.parameters().size(), 1);
  sae.biases<1>() = sae.biases<1>().cwiseAbs();
  fg::save_gemma_scope(file.path, fg::weights_of(sae));
  const auto weights = fg::load_gemma_scope(file.path);
  CHECK(test::same(weights.W_enc, Matrix<float>(sae.weights<0>())));
  CHECK(test::same(weights.threshold, Eigen::VectorXf(sae.biases<1>())));

  // The same computation as in the published code of Gemma Scope.
  const Matrix<float> x = test::normal<float>(random, 30, 6);
  const Matrix<float> pre = (x * weights.W_enc).rowwise() + weights.b_enc.transpose();
  const Matrix<float> codes =
      (pre.array() > weights.threshold.transpose().replicate(30, 1).array()).select(pre.cwiseMax(0.0F), 0.0F);
  auto copy = jumping();
  fg::set_weights(copy, weights);
  CHECK((copy.encode(x) - codes).norm() < 1e-5F * codes.norm());
  CHECK((copy(x) - ((codes * weights.W_dec).rowwise() + weights.b_dec.transpose())).norm() < 1e-4F);
  CHECK(test::same(copy.parameters(), sae.parameters()));
}

TEST_CASE("set_weights keeps thresholds exactly, and a value equal to its threshold is not active") {
  Random random(753);
  fg::SaeWeights<float> weights;
  constexpr Index latents = 500;
  weights.W_enc = Matrix<float>::Ones(1, latents), weights.W_dec = Matrix<float>::Ones(latents, 1);
  weights.b_enc = Eigen::VectorXf::Zero(latents), weights.b_dec = Eigen::VectorXf::Zero(1);
  weights.threshold.resize(latents);
  for (Index j = 0; j < latents; ++j) weights.threshold[j] = static_cast<float>(std::exp(random.uniform(-12, 3)));
  weights.threshold[7] = 0;
  auto sae = fg::autoencoder(fg::linear(1, latents) | fg::jump_relu(latents), fg::linear(latents, 1));
  fg::set_weights(sae, weights);
  CHECK(test::same(fg::weights_of(sae).threshold, weights.threshold));
  for (Index j = 0; j < latents; ++j) {
    const float theta = weights.threshold[j];
    const Matrix<float> x{{theta}, {std::nextafter(theta, 100.0F)}};
    const Matrix<float> codes = sae.encode(x);
    CHECK(codes(0, j) == 0);
    CHECK(codes(1, j) == x(1, 0));
  }
}

TEST_CASE("a calibrated BatchTopK autoencoder keeps the same latents as a JumpReLU autoencoder") {
  Random random(754);
  for (int trial = 0; trial < 30; ++trial) {
    const Matrix<float> x = test::normal<float>(random, 200, 6);
    auto sae = fg::autoencoder(fg::linear(6, 40) | fg::batch_top_k(3) | fg::relu(), fg::linear(40, 6), 4);
    sae.parameters() = 0.5F * test::normal<float>(random, sae.parameters().size(), 1);
    const auto fixed = fg::calibrated(sae, x);
    auto jump = fg::autoencoder(fg::linear(6, 40) | fg::jump_relu(40), fg::linear(40, 6));
    auto weights = fg::weights_of(fixed);
    weights.threshold = Eigen::VectorXf::Constant(40, static_cast<float>(fixed.stage<1>().t));
    fg::set_weights(jump, weights);
    CHECK((jump.encode(x).array() != 0).count() == 600);
    CHECK(test::same(jump.encode(x), fixed.encode(x)));
  }
}

TEST_CASE("set_weights restores gated encoders and encoders without gates or thresholds") {
  Random random(752);
  auto gated = fg::autoencoder(fg::pre_bias() | fg::gated(6, 20), fg::linear(20, 6), 3);
  gated.parameters() = test::normal<float>(random, gated.parameters().size(), 1);
  auto other = fg::autoencoder(fg::pre_bias() | fg::gated(6, 20), fg::linear(20, 6), 4);
  fg::set_weights(other, fg::weights_of(gated));
  CHECK(test::same(other.parameters(), gated.parameters()));

  auto plain = fg::autoencoder(fg::pre_bias() | fg::linear(6, 20) | fg::top_k(3) | fg::relu(), fg::linear(20, 6), 3);
  auto same = fg::autoencoder(fg::linear(6, 20) | fg::relu(), fg::linear(20, 6), 4);
  fg::set_weights(same, fg::weights_of(plain));
  CHECK(test::same(same.parameters(), plain.parameters()));
}

TEST_CASE("set_weights changes nothing if a shape is wrong") {
  auto sae = jumping();
  const Eigen::VectorXf before = sae.parameters();
  auto weights = fg::weights_of(sae);
  const auto refused = [&](const fg::SaeWeights<float>& wrong, const std::string& text) {
    CHECK_THROWS_WITH(fg::set_weights(sae, wrong), "filigree: set_weights(sae, weights): " + text);
  };
  auto wrong = weights;
  wrong.W_enc.resize(20, 6);
  refused(wrong, "W_enc must be 6 x 20, is 20 x 6");
  wrong = weights;
  wrong.threshold.resize(0);
  refused(wrong, "threshold must be 20 x 1, is 0 x 1");
  wrong = weights;
  wrong.r_mag = wrong.b_mag = wrong.b_enc;
  refused(wrong, "r_mag must be 0 x 1, is 20 x 1");
  wrong = weights;
  wrong.threshold[4] = -0.5F;
  refused(wrong, "threshold[4] must be at least 0, is -0.5");
  CHECK(test::same(sae.parameters(), before));

  const File file("wrong.npz");
  weights.b_enc.resize(19);
  fg::save_gemma_scope(file.path, weights);
  CHECK_THROWS_WITH(fg::load_gemma_scope(file.path),
                    "filigree: " + file.path + ": \"b_enc\" must be 20 x 1 for a W_enc of 6 x 20, is 19 x 1");
  weights.threshold.resize(0);
  CHECK_THROWS_WITH(fg::save_gemma_scope(file.path, weights),
                    "filigree: save_gemma_scope(path, weights): the weights must have a threshold and no r_mag");
}
