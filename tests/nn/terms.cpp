// SPDX-License-Identifier: MIT
// Penalties and losses: values against formulas, gradients against finite differences.
#include <cmath>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Matrix = test::Matrix<double>;
using Rows = fg::detail::ConstRows<double>;

namespace {

struct Serial {
  fg::Workspace workspace;
  fg::detail::Session session{{fg::ExecutorRef(fg::serial()), &workspace}};
};

Rows rows(const Matrix& x) { return {x.data(), x.rows(), x.cols()}; }

template <class P>
double value(const P& penalty, const Matrix& a, double factor = 1, double* gradient = nullptr) {
  double sum = 0;
  fg::detail::each_term(penalty, factor,
                        [&](const auto& term, double f) { sum += term.add(rows(a), f, gradient, Serial().session); });
  return sum;
}
template <class L>
double loss(const L& term, const Matrix& y, const Matrix& t, double factor = 1, double* gradient = nullptr) {
  return term.add(rows(y), rows(t), factor, gradient, Serial().session);
}

/// Checks that a term adds its gradient times the factor, and that the value is the same without a gradient.
template <class Value>
void check_gradient(const Matrix& a, Value&& value) {
  Matrix gradient = Matrix::Constant(a.rows(), a.cols(), 7);
  const double one = value(a, 1.0, static_cast<double*>(nullptr)), scaled = value(a, 2.5, gradient.data());
  CHECK(scaled == Approx(2.5 * one).epsilon(1e-14));
  const Eigen::VectorXd x = Eigen::Map<const Eigen::VectorXd>(a.data(), a.size());
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& moved) {
        return value(Matrix(Eigen::Map<const Matrix>(moved.data(), a.rows(), a.cols())), 2.5,
                     static_cast<double*>(nullptr));
      },
      x, 1e-4);
  const Matrix added = gradient.array() - 7;
  CHECK(test::relative(Eigen::Map<const Eigen::VectorXd>(added.data(), a.size()), expected) < 1e-7);
}

/// Returns values that keep their sign under small steps. If positive, they also stay inside (0, 1), as kl requires.
Matrix activations(Random& random, Index n, Index cols, bool positive) {
  Matrix a(n, cols);
  for (Index e = 0; e < a.size(); ++e)
    a.data()[e] = random.uniform(0.05, 0.95) * (positive || random.chance(0.5) ? 1 : -1);
  return a;
}

}  // namespace

TEST_CASE("penalties match their formulas") {
  Random random(601);
  for (const Index n : {1, 5, 200})
    for (const Index cols : {1, 7}) {
      const Matrix a = activations(random, n, cols, false), p = activations(random, n, cols, true);
      const double samples = static_cast<double>(n);
      CHECK(value(fg::l1(), a) == Approx(a.cwiseAbs().sum() / samples).epsilon(1e-13));
      double kl = 0, flops = 0;
      for (Index j = 0; j < cols; ++j) {
        const double r = p.col(j).sum() / samples, m = a.col(j).cwiseAbs().sum() / samples;
        kl += 0.2 * std::log(0.2 / r) + 0.8 * std::log(0.8 / (1 - r));
        flops += m * m;
      }
      CHECK(value(fg::kl(0.2), p) == Approx(kl).epsilon(1e-12));
      CHECK(value(fg::flops(), a) == Approx(flops).epsilon(1e-13));
      double hoyer = 0, entropy = 0, lasso = 0;
      for (Index i = 0; i < n; ++i) {
        const double s = a.row(i).cwiseAbs().sum();
        hoyer += s * s / a.row(i).squaredNorm();
        for (Index j = 0; j < cols; ++j) entropy -= std::abs(a(i, j)) / s * std::log(std::abs(a(i, j)) / s);
        for (Index g = 0; g < cols; g += 3) lasso += a.row(i).segment(g, std::min<Index>(3, cols - g)).norm();
      }
      CHECK(value(fg::hoyer_square(), a) == Approx(hoyer / samples).epsilon(1e-13));
      CHECK(value(fg::entropy(), a) == Approx(entropy / samples).margin(1e-13));
      CHECK(value(fg::group_lasso(3), a) == Approx(lasso / samples).epsilon(1e-13));
    }
}

TEST_CASE("gradients of penalties match finite differences") {
  Random random(602);
  for (const Index n : {1, 5, 70})
    for (const Index cols : {2, 7}) {
      const Matrix a = activations(random, n, cols, false), p = activations(random, n, cols, true);
      const auto check = [&](const auto& penalty, const Matrix& at) {
        check_gradient(at, [&](const Matrix& x, double factor, double* g) { return value(penalty, x, factor, g); });
      };
      check(fg::l1(), a);
      check(fg::kl(0.2), p);
      check(fg::flops(), a);
      check(fg::hoyer_square(), a);
      check(fg::entropy(), a);
      check(fg::group_lasso(3), a);
      check(3.0 * fg::kl(0.01) + fg::l1() * 0.5 + 2.0 * (fg::flops() + fg::hoyer_square()), p);
    }
}

TEST_CASE("penalties are finite for zeros, empty batches and latents that are always 0 or 1") {
  const Matrix zero = Matrix::Zero(3, 4), none(0, 4);
  const auto check = [&](const auto& penalty, double at_zero) {
    Matrix gradient = Matrix::Zero(3, 4);
    CHECK(value(penalty, zero, 1, gradient.data()) == at_zero);
    CHECK((gradient.array() == 0).all());
    CHECK(value(penalty, none) == 0);
  };
  check(fg::l1(), 0);
  check(fg::flops(), 0);
  check(fg::hoyer_square(), 0);
  check(fg::entropy(), 0);
  check(fg::group_lasso(2), 0);
  CHECK(value(fg::hoyer_square(), Matrix::Constant(2, 2, 1e-170)) == 0);  // its squares underflow
  for (const double always : {0.0, 1.0}) {
    const Matrix a = Matrix::Constant(3, 2, always);
    Matrix gradient = Matrix::Zero(3, 2);
    CHECK(std::isfinite(value(fg::kl(0.01), a, 1, gradient.data())));
    CHECK(gradient.array().isFinite().all());
    CHECK((gradient.array() * (always - 0.5) > 0).all());  // descent moves towards the inside
  }
  CHECK(value(fg::kl(0.01), none) == 0);
}

TEST_CASE("losses match their formulas, and their gradients match finite differences") {
  Random random(603);
  for (const Index n : {2, 90}) {
    const Matrix y = test::normal<double>(random, n, 6), t = test::normal<double>(random, n, 6);
    const double samples = static_cast<double>(n);
    CHECK(loss(fg::squared_error(), y, t) == Approx((y - t).squaredNorm() / samples).epsilon(1e-13));
    const Matrix centered = t.rowwise() - t.colwise().mean();
    CHECK(loss(fg::normalized_squared_error(), y, t) ==
          Approx((y - t).squaredNorm() / centered.squaredNorm()).epsilon(1e-12));
    Matrix counts(n, 6);
    for (Index e = 0; e < counts.size(); ++e) counts.data()[e] = static_cast<double>(random.between(0, 3));
    double expected = 0;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < 6; ++j) expected -= counts(i, j) * (y(i, j) - std::log(y.row(i).array().exp().sum()));
    CHECK(loss(fg::multinomial(), y, counts) == Approx(expected / samples).epsilon(1e-12));
    const auto check = [&](const auto& term, const Matrix& target) {
      check_gradient(y, [&](const Matrix& x, double factor, double* g) { return loss(term, x, target, factor, g); });
    };
    check(fg::squared_error(), t);
    check(fg::normalized_squared_error(), t);
    check(fg::multinomial(), counts);
    const Matrix probabilities =
        (counts.array() + 0.1).matrix().array().colwise() / (counts.array() + 0.1).rowwise().sum();
    check(fg::cross_entropy(), probabilities);
    CHECK(loss(fg::cross_entropy(), y, probabilities) == Approx(loss(fg::multinomial(), y, probabilities)));
  }
  // Large outputs do not overflow, and a class with target 0 does not contribute.
  Matrix y(1, 3), t(1, 3);
  y << 1000, 0, -1000;
  t << 0, 1, 0;
  CHECK(loss(fg::cross_entropy(), y, t) == 1000);
  t(0, 1) = std::nan("");
  CHECK(std::isnan(loss(fg::squared_error(), y, t)));
  Matrix two = Matrix::Zero(2, 3);
  two(1, 0) = std::nan("");
  CHECK(std::isnan(loss(fg::normalized_squared_error(), Matrix::Zero(2, 3), two)));
  // The mean of equal numbers need not be that number.
  CHECK_THROWS_AS(loss(fg::normalized_squared_error(), Matrix::Zero(3, 1), Matrix::Constant(3, 1, 0.1)), fg::Error);
  CHECK_THROWS_WITH(
      loss(fg::normalized_squared_error(), Matrix::Zero(3, 2), Matrix::Ones(3, 2)),
      "filigree: normalized_squared_error(): the targets of a batch must differ, and these 3 are all equal");
}

TEST_CASE("cross_entropy with label smoothing and an ignored class matches its formula") {
  Random random(606);
  for (const Index n : {2, 5, 70}) {
    const Index cols = 4;
    const Matrix y = test::normal<double>(random, n, cols);
    Matrix t = Matrix::Zero(n, cols);
    for (Index i = 0; i < n; ++i) t(i, i == 0 ? 2 : random.between(0, cols - 1)) = 1;
    const auto minus_log = [&](Index i, Index j) { return std::log(y.row(i).array().exp().sum()) - y(i, j); };
    for (const double e : {0.0, 0.1, 1.0})
      for (const Index ignored : {-1, 1, 3}) {
        CAPTURE(n, e, ignored);
        double sum = 0, counted = 0;
        for (Index i = 0; i < n; ++i) {
          if (ignored >= 0 && t(i, ignored) == 1) continue;
          ++counted;
          for (Index j = 0; j < cols; ++j) sum += ((1 - e) * t(i, j) + e / static_cast<double>(cols)) * minus_log(i, j);
        }
        const auto term = fg::cross_entropy({.label_smoothing = e, .ignored_class = ignored});
        CHECK(loss(term, y, t) == Approx(sum / counted).epsilon(1e-12));
        check_gradient(y, [&](const Matrix& x, double factor, double* g) { return loss(term, x, t, factor, g); });
        // The same in training, where the tail of a network may run in batches of samples.
        auto net = fg::network(fg::linear<double>(cols, cols), 3);
        net.parameters().setZero();
        net.template weights<0>().setIdentity();
        Eigen::VectorXd gradient;
        fg::Pass pass(net);
        CHECK(pass.gradient(net, y, t, 2.0 * term + 0.0 * fg::weight_decay(), gradient) ==
              Approx(2 * sum / counted).epsilon(1e-12));
      }
  }
  // A batch in which all samples are ignored.
  Matrix y = Matrix::Ones(2, 3), t = Matrix::Zero(2, 3), gradient = Matrix::Zero(2, 3);
  t.col(0).setOnes();
  CHECK(loss(fg::cross_entropy({.ignored_class = 0}), y, t, 1, gradient.data()) == 0);
  CHECK((gradient.array() == 0).all());
  CHECK_THROWS_WITH(loss(fg::cross_entropy({.ignored_class = 3}), y, t),
                    "filigree: cross_entropy({.ignored_class}): must be one of the 3 classes, got 3");
  t(1, 0) = 0.5;
  CHECK_THROWS_WITH(
      loss(fg::cross_entropy({.ignored_class = 0}), y, t),
      "filigree: cross_entropy({.ignored_class}): the target of the ignored class must be 0 or 1; that of "
      "sample 1 is 0.5");
  CHECK_THROWS_WITH(fg::cross_entropy({.label_smoothing = 1.5}),
                    "filigree: cross_entropy({.label_smoothing}): must be from 0 to 1, got 1.5");
  CHECK_THROWS_AS(fg::cross_entropy({.label_smoothing = std::nan("")}), fg::Error);
  CHECK_THROWS_WITH(fg::cross_entropy({.ignored_class = -2}),
                    "filigree: cross_entropy({.ignored_class}): must be a class, or -1 for none, got -2");
}

TEST_CASE("targets and activations outside the domain of a term throw") {
  const Matrix large = Matrix::Constant(3, 2, 1.5), y = Matrix::Zero(2, 3);
  CHECK_THROWS_WITH(value(fg::kl(0.05), large),
                    "filigree: kl(rho): the mean activation of a latent must be between 0 and 1, as after sigmoid(); "
                    "latent 0 has 1.5");
  CHECK_THROWS_WITH(value(fg::kl(0.05), Matrix(-large)), contains("latent 0 has -1.5"));
  CHECK(std::isfinite(value(fg::kl(0.05), Matrix(Matrix::Ones(3, 2)))));
  CHECK_THROWS_WITH(loss(fg::cross_entropy(), y, Matrix{{1, 0, 0}, {0.5, -0.5, 1}}),
                    "filigree: cross_entropy(): a target must be at least 0; that of output 1 is -0.5");
  CHECK_THROWS_WITH(
      loss(fg::cross_entropy(), y, Matrix{{1, 0, 0}, {3, 1, 0}}),
      "filigree: cross_entropy(): the targets of a sample must be probabilities, whose sum is 1; it is 4. "
      "multinomial() takes counts");
  CHECK_THROWS_WITH(loss(fg::multinomial(), y, Matrix{{1, 0, 0}, {3, -1, 0}}),
                    "filigree: multinomial(): a target must be at least 0; that of output 1 is -1");
}

TEST_CASE("normalized aux_k treats equal residuals as having no variation, despite rounding") {
  for (const Index samples : {5, 7, 10}) {
    auto sae = fg::autoencoder(fg::linear<double>(3, 8) | fg::top_k(1) | fg::relu(), fg::linear<double>(8, 3), 2);
    const Matrix x = Matrix::Constant(samples, 3, 0.1);
    fg::Pass pass(sae);
    Eigen::VectorXd gradient;
    for (int step = 0; step < 3; ++step) {
      const double with =
          pass.gradient(sae, x, x, fg::squared_error() + fg::aux_k(2, {.after = 1, .normalized = true}), gradient);
      CHECK(with < 10);
      CHECK(gradient.allFinite());
      CHECK(gradient.cwiseAbs().maxCoeff() < 100);
    }
  }
}

TEST_CASE("terms reject invalid arguments") {
  CHECK_THROWS_WITH(fg::kl(0), "filigree: kl(rho): rho must be above 0 and below 1, got 0");
  CHECK_THROWS_WITH(fg::kl(std::nan("")), "filigree: kl(rho): rho must be above 0 and below 1, got nan");
  CHECK_THROWS_WITH(fg::group_lasso(0), "filigree: group_lasso(size): size must be at least 1, got 0");
  CHECK_THROWS_WITH((1.0 / 0.0) * fg::l1(), "filigree: factor * term: the factor must be finite, got inf");
}
