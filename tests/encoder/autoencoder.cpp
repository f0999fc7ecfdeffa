// SPDX-License-Identifier: MIT
// The sparse autoencoder of the UFLDL notes: cost and gradient compared with the formulas of the exercise.
#include <cmath>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Matrix = test::Matrix<double>;
using Vector = Eigen::VectorXd;

namespace {

Matrix logistic(const Matrix& z) { return (1 + (-z.array()).exp()).inverse().matrix(); }

}  // namespace

TEST_CASE("an autoencoder has the cost and the gradient of the UFLDL exercise") {
  Random random(621);
  for (const Index n : {1, 10, 500, 10000}) {  // the last is processed in more than one batch
    const Index visible = 16, hidden = 7;
    const double lambda = 1e-4, beta = 3, rho = 0.01;
    Matrix x(n, visible);
    for (Index e = 0; e < x.size(); ++e) x.data()[e] = random.uniform(0.1, 0.9);
    auto sae = fg::autoencoder(fg::linear<double>(visible, hidden) | fg::sigmoid() | fg::penalize(beta * fg::kl(rho)),
                               fg::linear<double>(hidden, visible) | fg::sigmoid(), 3);
    sae.biases<0>() = test::normal<double>(random, hidden, 1);
    sae.biases<3>() = test::normal<double>(random, visible, 1);
    const Matrix w1 = sae.weights<0>(), w2 = sae.weights<3>();

    const Matrix a = logistic((x * w1).rowwise() + sae.biases<0>().transpose());
    const Matrix y = logistic((a * w2).rowwise() + sae.biases<3>().transpose());
    const double samples = static_cast<double>(n);
    const Eigen::ArrayXd hat = a.colwise().sum().transpose().array() / samples;
    const double divergence = (rho * (rho / hat).log() + (1 - rho) * ((1 - rho) / (1 - hat)).log()).sum();
    const double cost =
        (y - x).squaredNorm() / (2 * samples) + lambda / 2 * (w1.squaredNorm() + w2.squaredNorm()) + beta * divergence;
    const Matrix d3 = ((y - x).array() * y.array() * (1 - y.array())).matrix();
    const Eigen::RowVectorXd sparsity = (beta * (-rho / hat + (1 - rho) / (1 - hat))).matrix().transpose();
    const Matrix d2 = (((d3 * w2.transpose()).rowwise() + sparsity).array() * a.array() * (1 - a.array())).matrix();
    Vector expected(sae.parameters().size());
    const Index middle = visible * hidden + hidden;
    Eigen::Map<Matrix>(expected.data(), visible, hidden) = x.transpose() * d2 / samples + lambda * w1;
    expected.segment(visible * hidden, hidden) = d2.colwise().sum().transpose() / samples;
    Eigen::Map<Matrix>(expected.data() + middle, hidden, visible) = a.transpose() * d3 / samples + lambda * w2;
    expected.tail(visible) = d3.colwise().sum().transpose() / samples;

    fg::Pass pass(sae);
    Vector gradient;
    const auto objective = 0.5 * fg::squared_error() + lambda * fg::weight_decay();
    CHECK(pass.gradient(sae, x, x, objective, gradient) == Approx(cost).epsilon(1e-12));
    CHECK(test::relative(gradient, expected) < 1e-12);
    CHECK((sae.encode(x) - a).cwiseAbs().maxCoeff() < 1e-14);
    CHECK((sae.decode(a) - y).cwiseAbs().maxCoeff() < 1e-14);
    CHECK(sae.latents() == hidden);
    CHECK((sae(x) - y).cwiseAbs().maxCoeff() < 1e-13);
  }
}

TEST_CASE("codes and reconstructions have the expected shapes") {
  const auto sae = fg::autoencoder(fg::linear(6, 9) | fg::top_k(2), fg::linear(9, 6));
  const Eigen::MatrixXf x = Eigen::MatrixXf::Random(5, 6);
  const auto codes = sae.encode(x);
  CHECK(codes.cols() == 9);
  for (Index i = 0; i < 5; ++i) CHECK((codes.row(i).array() != 0).count() == 2);
  CHECK(sae.decode(codes).cols() == 6);
  CHECK_THROWS_WITH(sae.encode(codes), "filigree: encode(X): X.cols() = 9 must be 6");
  CHECK_THROWS_WITH(sae.decode(x), "filigree: decode(X): X.cols() = 6 must be 9");
}
