// SPDX-License-Identifier: MIT
// Every model of docs/encoders.md with its default options, trained on handwritten digits by adam{}. Sparsity must
// follow its coefficient, and dead latents must be revived.
#include <algorithm>
#include <filigree/filigree.hpp>
#include <vector>

#include "catch.hpp"

namespace fg = filigree;

namespace {

using Matrix = Eigen::Matrix<float, -1, -1, Eigen::RowMajor>;
constexpr fg::Index d = 64, h = 96;

/// Returns 898 digits of 64 pixels from 0 to 1.
const Matrix& digits() {
  static const Matrix all = fg::load_csv<Matrix>(FILIGREE_DIGITS);
  static const Matrix pixels = all.leftCols(d).topRows(898) / 16;
  return pixels;
}

template <class Sae, class Objective>
fg::FitReport train(Sae& sae, const Objective& objective, fg::Index epochs = 30) {
  return fg::fit(sae, digits(), objective, fg::adam{}, {.epochs = epochs, .batch = 64, .progress = false});
}

/// Checks that the number of active latents after training falls with rising coefficients.
template <class Train>
void check_l0_falls(const std::vector<double>& coefficients, const Train& train, double ratio) {
  std::vector<double> active;
  for (const double coefficient : coefficients) active.push_back(train(coefficient));
  CAPTURE(active);
  CHECK(std::is_sorted(active.rbegin(), active.rend()));
  CHECK(active.back() < ratio * active.front());
  CHECK(active.back() > 0);
}

}  // namespace

TEST_CASE("the mean activation approaches rho as the coefficient of kl grows") {
  std::vector<double> distance;
  for (const double beta : {0.0, 0.1, 1.0}) {
    auto sae = fg::autoencoder(fg::linear(d, h) | fg::sigmoid() | fg::penalize(beta * fg::kl(0.05)),
                               fg::linear(h, d) | fg::sigmoid(), 1);
    const auto report = train(sae, 0.5 * fg::squared_error() + 1e-4 * fg::weight_decay());
    CHECK(report.losses.back() < report.losses.front());
    distance.push_back(std::abs(static_cast<double>(sae.encode(digits()).mean()) - 0.05));
  }
  CAPTURE(distance);
  CHECK(std::is_sorted(distance.rbegin(), distance.rend()));
  CHECK(distance.back() < 0.1 * distance.front());
}

TEST_CASE("L0 falls as the coefficient of l1, l0 or gate_l1 grows") {
  check_l0_falls(
      {1e-3, 1e-2, 0.1, 0.3},
      [](double lambda) {
        auto sae =
            fg::autoencoder(fg::linear(d, h) | fg::relu() | fg::penalize(lambda * fg::l1()), fg::linear(h, d), 1);
        train(sae, fg::squared_error());
        return fg::l0(sae.encode(digits()));
      },
      0.7);
  check_l0_falls(
      {1e-3, 1e-2, 0.1, 1},
      [](double lambda) {
        auto sae =
            fg::autoencoder(fg::linear(d, h) | fg::jump_relu(h) | fg::penalize(lambda * fg::l0()), fg::linear(h, d), 1);
        train(sae, fg::squared_error());
        return fg::l0(sae.encode(digits()));
      },
      0.7);
  check_l0_falls(
      {1e-3, 1e-2, 0.1, 0.3},
      [](double lambda) {
        auto sae = fg::autoencoder(fg::pre_bias() | fg::gated(d, h), fg::linear(h, d), 1);
        train(sae, fg::squared_error() + lambda * fg::gate_l1() + fg::gate_reconstruction());
        return fg::l0(sae.encode(digits()));
      },
      0.7);
}

TEST_CASE("aux_k revives dead latents of TopK and BatchTopK") {
  const auto check = [](const auto& selector) {
    constexpr fg::Index k = 4;
    struct Result {
      fg::Index dead;
      double error;
    };
    const auto after = [&](const auto& objective) -> Result {
      auto sae = fg::autoencoder(fg::pre_bias() | fg::linear(d, h) | selector(k) | fg::relu(),
                                 fg::linear(h, d).unit_norm_rows(), 1);
      train(sae, objective, 120);
      const auto codes = sae.encode(digits());
      CHECK(fg::l0(codes) <= k);
      CHECK(fg::l0(codes) > 0.8 * k);
      return {static_cast<fg::Index>(fg::dead_latents(codes).size()),
              fg::normalized_mse(digits(), Matrix(sae(digits())))};
    };
    const Result without = after(fg::squared_error()), with = after(fg::squared_error() + (1.0 / 32) * fg::aux_k(32));
    CAPTURE(without.dead, with.dead, without.error, with.error);
    CHECK(without.dead > h / 2);
    CHECK(3 * with.dead < 2 * without.dead);
    CHECK(with.error < 0.9 * without.error);
  };
  check([](fg::Index k) { return fg::top_k(k); });
  check([](fg::Index k) { return fg::batch_top_k(k); });
}

TEST_CASE("matryoshka prefixes, winner_take_all codes and transcoders learn with default options") {
  auto sae = fg::autoencoder(fg::pre_bias() | fg::linear(d, h) | fg::top_k(8) | fg::relu(), fg::linear(h, d), 1);
  train(sae, fg::matryoshka({12, 48, 96}));
  std::vector<double> errors;
  for (const fg::Index prefix : {12, 48, 96}) {
    Matrix codes = sae.encode(digits());
    codes.rightCols(h - prefix).setZero();
    errors.push_back(fg::normalized_mse(digits(), Matrix(sae.decode(codes))));
  }
  CAPTURE(errors);
  CHECK(errors[0] < 1);
  CHECK(std::is_sorted(errors.rbegin(), errors.rend()));

  auto winners = fg::autoencoder(fg::linear(d, h) | fg::winner_take_all(0.05), fg::linear(h, d), 1);
  const auto report = train(winners, fg::squared_error());
  CHECK(report.losses.back() < 0.7 * report.losses.front());
  CHECK(fg::l0(winners.encode(digits())) <= 0.05 * h + 1e-6);

  const Matrix reversed = digits().rowwise().reverse();
  auto transcoder =
      fg::transcoder(fg::linear(d, h) | fg::top_k(8) | fg::relu(), fg::linear(h, d).skip_connection(d), 1);
  fg::fit(transcoder, digits(), reversed, fg::squared_error(), fg::adam{},
          {.epochs = 30, .batch = 64, .progress = false});
  CHECK(fg::normalized_mse(reversed, Matrix(transcoder(digits()))) < 0.5);
}

TEST_CASE("initial thresholds of jump_relu follow the scale of the data unless they are given") {
  for (const float scale : {1e-3F, 1.F, 1e4F}) {
    const Matrix x = digits() * scale;
    auto sae = fg::autoencoder(fg::linear(d, h) | fg::jump_relu(h), fg::linear(h, d), 1);
    CHECK(sae.biases<1>().isConstant(1e-3F));
    fg::fit(sae, x, fg::squared_error(), fg::adam{.rate = 0}, {.epochs = 1, .progress = false});
    const float root = std::sqrt(Matrix(sae.before<1>(x)).squaredNorm() / static_cast<float>(x.rows() * h));
    CHECK((sae.biases<1>() / root).isApproxToConstant(1, 1e-3F));
    sae.biases<1>().setConstant(3 * root);  // thresholds that were set are kept
    fg::fit(sae, x, fg::squared_error(), fg::adam{.rate = 0}, {.epochs = 1, .progress = false});
    CHECK((sae.biases<1>() / root).isApproxToConstant(3, 1e-3F));
  }
  auto given = fg::autoencoder(fg::linear(d, h) | fg::jump_relu(h, {.theta = 0.25}), fg::linear(h, d), 1);
  fg::fit(given, digits(), fg::squared_error(), fg::adam{.rate = 0}, {.epochs = 1, .progress = false});
  CHECK(given.biases<1>().isApproxToConstant(0.25F, 1e-6F));
  auto zeros = fg::autoencoder(fg::linear(d, h) | fg::jump_relu(h), fg::linear(h, d), 1);
  fg::fit(zeros, Matrix(Matrix::Zero(9, d)), fg::squared_error(), fg::adam{}, {.epochs = 1, .progress = false});
  CHECK(zeros.biases<1>().allFinite());
}
