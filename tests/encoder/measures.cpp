// SPDX-License-Identifier: MIT
// Measures of codes, reconstructions, vectors and dictionaries, compared with simple loops, known values and an
// exhaustive search over matchings.
#include <algorithm>
#include <cmath>
#include <filigree/encoder/measures/measures.hpp>
#include <filigree/nn/loss/normalized_squared_error.hpp>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Matrix = test::Matrix<double>;
using Vector = Eigen::VectorXd;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

Vector vector(std::initializer_list<double> list) { return Eigen::Map<const Vector>(list.begin(), Index(list.size())); }

// The Gini index from the mean difference of all pairs, Hoyer and Treves-Rolls from norms.
double gini(const Vector& v) {
  double sum = 0;
  for (const double a : v)
    for (const double b : v) sum += std::abs(std::abs(a) - std::abs(b));
  return sum / (2 * static_cast<double>(v.size()) * v.lpNorm<1>());
}
double hoyer(const Vector& v) {
  const double root = std::sqrt(static_cast<double>(v.size()));
  return (root - v.lpNorm<1>() / v.norm()) / (root - 1);
}
double treves_rolls(const Vector& v) {
  const double mean = v.cwiseAbs().mean();
  return mean * mean / v.cwiseAbs2().mean();
}

double cosine(const Matrix& a, Index i, const Matrix& b, Index j) {
  const double lengths = a.row(i).norm() * b.row(j).norm();
  return lengths == 0 ? 0 : std::abs(a.row(i).dot(b.row(j))) / lengths;
}
// Returns the mean over true atoms under the best matching, by trying all permutations of the larger dictionary.
double mcc(const Matrix& learned, const Matrix& truth) {
  const bool fewer = learned.rows() < truth.rows();
  const Matrix &small = fewer ? learned : truth, &large = fewer ? truth : learned;
  std::vector<Index> order(static_cast<std::size_t>(large.rows()));
  std::iota(order.begin(), order.end(), 0);
  double best = 0;
  do {
    double sum = 0;
    for (Index i = 0; i < small.rows(); ++i) sum += cosine(small, i, large, order[static_cast<std::size_t>(i)]);
    best = std::max(best, sum);
  } while (std::next_permutation(order.begin(), order.end()));
  return best / static_cast<double>(truth.rows());
}

// Returns the largest sum of an assignment of all rows, by dynamic programming over sets of rows.
double best_sum(const Matrix& gain) {
  std::vector<double> best(std::size_t(1) << gain.rows(), -infinity);
  best[0] = 0;
  for (Index j = 0; j < gain.cols(); ++j)
    for (std::size_t set = best.size(); set-- > 0;)
      for (Index i = 0; i < gain.rows(); ++i)
        if (const std::size_t bit = std::size_t(1) << i; (set & bit) != 0)
          best[set] = std::max(best[set], best[set ^ bit] + gain(i, j));
  return best.back();
}

}  // namespace

TEST_CASE("measures have known values") {
  const Vector v = vector({0, 1, 3, 5});
  CHECK(fg::hoyer(v) == Approx(2 - 9 / std::sqrt(35.0)).epsilon(1e-14));  // 0.478722342
  CHECK(fg::gini(v) == Approx(17.0 / 36).epsilon(1e-14));                 // 0.472222222
  CHECK(fg::treves_rolls(v) == Approx(81.0 / 140).epsilon(1e-14));        // 0.578571429
  const Eigen::MatrixXd x{{2, 0}, {0, 4}}, x_hat{{2, 1}, {0, 3}};
  CHECK(fg::explained_variance(x, x_hat) == Approx(0.8).epsilon(1e-15));
  CHECK(fg::normalized_mse(x, x_hat) == Approx(0.2).epsilon(1e-15));
  const Eigen::MatrixXd codes{{0, 1, 0, -2}, {0, 3, 0, 0}, {0, 1, 4, 0}, {0, 5, 0, 0}};
  CHECK(fg::l0(codes) == 1.5);
  CHECK(fg::density(codes) == vector({0, 1, 0.25, 0.25}));
  CHECK(fg::dead_latents(codes) == std::vector<Index>{0});
  CHECK(fg::dead_latents(codes, 0.25) == std::vector<Index>{0, 2, 3});
  // A greedy matching, the best pair first, would give one cosine of 1 and one of 0.
  const Eigen::MatrixXd truth{{1, 0}, {0.8, 0.6}}, learned{{0.8, 0.6}, {0, 1}};
  CHECK(fg::mcc(learned, truth) == Approx((0.8 + 0.6) / 2).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("measures of codes accept dense and sparse matrices in every layout", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(701);
  for (int trial = 0; trial < 40; ++trial) {
    const Index n = random.between(1, 30), latents = random.between(0, 20);
    test::Matrix<S> codes(n, latents);
    for (Index e = 0; e < codes.size(); ++e) codes.data()[e] = random.chance(0.2) ? S(random.normal()) : S(-0.0);
    if (latents > 2) codes.col(1).setZero();
    Vector density(latents);
    std::vector<Index> dead, rare;
    double all = 0;
    for (Index j = 0; j < latents; ++j) {
      double active = 0;
      for (Index i = 0; i < n; ++i) active += codes(i, j) != 0 ? 1 : 0;
      all += active;
      density[j] = active / static_cast<double>(n);
      if (active == 0) dead.push_back(j);
      if (density[j] <= 0.2) rare.push_back(j);
    }
    const auto check = [&](const auto& c) {
      CHECK(fg::l0(c) == all / static_cast<double>(n));
      CHECK(fg::density(c) == density);
      CHECK(fg::dead_latents(c) == dead);
      CHECK(fg::dead_latents(c, 0.2) == rare);
    };
    check(codes);
    check(test::ColMatrix<S>(codes));
    check(codes.array());
    check(S(2) * codes);
    test::Matrix<S> wide = test::Matrix<S>::Constant(n + 3, latents + 3, 1);
    wide.block(1, 2, n, latents) = codes;
    check(wide.block(1, 2, n, latents));
    Eigen::SparseMatrix<S, Eigen::RowMajor> sparse = codes.sparseView();
    if (latents > 2) sparse.coeffRef(0, 1) = 0;  // a stored 0, in a matrix that is no longer compressed
    check(sparse);
    check(Eigen::SparseMatrix<S>(sparse));
    check(Eigen::SparseMatrix<S>(sparse.transpose()).transpose());
    check(S(2) * sparse);
  }
  test::Matrix<S> codes = test::Matrix<S>::Zero(2, 3);
  codes(1, 2) = std::numeric_limits<S>::quiet_NaN();
  CHECK(fg::l0(codes) == 0.5);
  CHECK(fg::dead_latents(codes) == std::vector<Index>{0, 1});
  CHECK(fg::dead_latents(codes, 1).size() == 3);
  CHECK(fg::density(Eigen::MatrixXi::Ones(2, 3)) == Vector::Ones(3));
}

TEST_CASE("measures of reconstructions agree with loops") {
  Random random(702);
  fg::Workspace workspace;
  for (int trial = 0; trial < 30; ++trial) {
    const Index n = random.between(2, 40), d = random.between(1, 12);
    const Matrix x = test::normal<double>(random, n, d).array() + 100 * random.normal();
    const Matrix x_hat = x + 0.3 * test::normal<double>(random, n, d);
    double error = 0, unexplained = 0, total = 0;
    for (Index j = 0; j < d; ++j) {
      double mean = 0, offset = 0;
      for (Index i = 0; i < n; ++i) {
        mean += x(i, j) / static_cast<double>(n);
        offset += (x(i, j) - x_hat(i, j)) / static_cast<double>(n);
      }
      for (Index i = 0; i < n; ++i) {
        const double r = x(i, j) - x_hat(i, j);
        error += r * r;
        unexplained += (r - offset) * (r - offset);
        total += (x(i, j) - mean) * (x(i, j) - mean);
      }
    }
    CHECK(fg::normalized_mse(x, x_hat) == Approx(error / total).epsilon(1e-11));
    CHECK(fg::explained_variance(x, x_hat) == Approx(1 - unexplained / total).epsilon(1e-11));
    CHECK(fg::explained_variance(x, x_hat) >= 1 - fg::normalized_mse(x, x_hat) - 1e-12);

    const fg::detail::Session session{{fg::ExecutorRef(fg::serial()), &workspace}};
    const fg::detail::ConstRows<double> y(x_hat.data(), n, d), t(x.data(), n, d);
    const double loss = fg::normalized_squared_error().add(y, t, 1.0, static_cast<double*>(nullptr), session);
    CHECK(fg::normalized_mse(x, x_hat) == Approx(loss).epsilon(1e-11));

    // Any layout, scalar and expression is accepted. A constant offset does not change the explained variance.
    const Eigen::MatrixXf xf = x.cast<float>();
    CHECK(fg::normalized_mse(xf, x_hat.array()) ==
          Approx(fg::normalized_mse(Matrix(xf.cast<double>()), x_hat)).epsilon(1e-12));
    const Matrix moved = x_hat.rowwise() + test::normal<double>(random, 1, d).row(0);
    CHECK(fg::explained_variance(x, moved) == Approx(fg::explained_variance(x, x_hat)).epsilon(1e-9));
    CHECK(fg::explained_variance(x, x) == 1);
    CHECK(fg::normalized_mse(x, x) == 0);
    const Eigen::RowVectorXd mean = x.colwise().mean();
    CHECK(fg::normalized_mse(x, mean.replicate(n, 1)) == Approx(1).epsilon(1e-12));
    CHECK(fg::explained_variance(x, 0 * x) == Approx(0).margin(1e-12));

    Matrix bad = x_hat;
    for (const double value : {not_a_number, infinity}) {
      bad(n - 1, d - 1) = value;
      CHECK(std::isnan(fg::explained_variance(x, bad)));
      CHECK(std::isnan(fg::explained_variance(bad, x)));
      CHECK(std::isnan(fg::normalized_mse(bad, x)));
      const double loss_of_bad = fg::normalized_mse(x, bad);
      CHECK((std::isnan(value) ? std::isnan(loss_of_bad) : loss_of_bad == infinity));
    }
  }
}

TEST_CASE("measures of vectors agree with their formulas and do not depend on scale") {
  Random random(703);
  for (int trial = 0; trial < 60; ++trial) {
    const Index n = random.between(2, 50);
    Vector v = test::numbers<double>(random, n, 1, trial % 2 == 0 ? test::Kind::normal : test::Kind::integers);
    v[0] = 3;
    CHECK(fg::gini(v) == Approx(gini(v)).margin(1e-13));  // 0.472222222
    CHECK(fg::hoyer(v) == Approx(hoyer(v)).margin(1e-13));
    CHECK(fg::treves_rolls(v) == Approx(treves_rolls(v)).epsilon(1e-13));
    for (const double scale : {-2.0, 1e-300, 1e300}) {
      CHECK(fg::gini(scale * v) == Approx(fg::gini(v)).margin(1e-13));
      CHECK(fg::hoyer(scale * v) == Approx(fg::hoyer(v)).margin(1e-13));
      CHECK(fg::treves_rolls(scale * v) == Approx(fg::treves_rolls(v)).epsilon(1e-13));
    }
    const Vector twice = v.replicate(2, 1);
    CHECK(fg::gini(twice) == Approx(fg::gini(v)).margin(1e-13));
    CHECK(fg::treves_rolls(twice) == Approx(fg::treves_rolls(v)).epsilon(1e-13));
    const Eigen::RowVectorXf row = v.transpose().cast<float>();
    CHECK(fg::gini(row.array()) == Approx(gini(row.transpose().cast<double>())).margin(1e-13));
    const Matrix codes = v.replicate(1, 3);
    CHECK(fg::hoyer(codes.col(1)) == fg::hoyer(v));

    Vector one = Vector::Zero(n), equal = Vector::Constant(n, random.normal());
    one[random.between(0, n - 1)] = random.normal();
    equal[0] *= -1;
    for (const Vector& same : {equal, Vector(Vector::Zero(n))}) {
      CHECK(fg::hoyer(same) == 0);
      CHECK(fg::gini(same) == 0);
      CHECK(fg::treves_rolls(same) == 1);
    }
    const double count = static_cast<double>(n);
    CHECK(fg::hoyer(one) == 1);
    CHECK(fg::gini(one) == Approx(1 - 1 / count).epsilon(1e-15));
    CHECK(fg::treves_rolls(one) == 1 / count);
    for (const double value : {not_a_number, infinity, -infinity}) {
      v[random.between(0, n - 1)] = value;
      CHECK(std::isnan(fg::hoyer(v)));
      CHECK(std::isnan(fg::gini(v)));
      CHECK(std::isnan(fg::treves_rolls(v)));
    }
  }
  for (const double value : {0.0, 5.0, -1e-310}) {
    CHECK(fg::hoyer(vector({value})) == 0);
    CHECK(fg::gini(vector({value})) == 0);
    CHECK(fg::treves_rolls(vector({value})) == 1);
  }
  CHECK(std::isnan(fg::hoyer(vector({not_a_number}))));
}

TEST_CASE("mcc finds the best of all matchings") {
  Random random(704);
  for (int trial = 0; trial < 120; ++trial) {
    const Index learned = random.between(1, 6), truth = random.between(1, 6), d = random.between(1, 4);
    const auto kind = random.pick({test::Kind::normal, test::Kind::integers, test::Kind::low_rank});
    const Matrix a = test::numbers<double>(random, learned, d, kind), b = test::numbers<double>(random, truth, d, kind);
    CAPTURE(learned, truth, d);
    CHECK(fg::mcc(a, b) == Approx(mcc(a, b)).margin(1e-13));
    CHECK(fg::mcc(a.array(), test::ColMatrix<double>(b)) == fg::mcc(a, b));
    CHECK(fg::mcc(b, a) * static_cast<double>(learned) == Approx(fg::mcc(a, b) * static_cast<double>(truth)));
  }
  for (int trial = 0; trial < 60; ++trial) {
    const Index n = random.between(1, 9), m = random.between(n, 16);
    const Matrix gain = test::numbers<double>(random, n, m, trial % 2 == 0 ? test::Kind::normal : test::Kind::integers);
    const std::vector<Index> column = fg::detail::best_assignment(gain);
    std::vector<char> taken(static_cast<std::size_t>(m));
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
      const auto j = column.at(static_cast<std::size_t>(i));
      CHECK(!std::exchange(taken.at(static_cast<std::size_t>(j)), 1));
      sum += gain(i, j);
    }
    CHECK(sum == Approx(best_sum(gain)).margin(1e-12));
  }
}

TEST_CASE("mcc does not depend on the order, sign and length of atoms") {
  Random random(705);
  const Matrix truth = test::normal<double>(random, 60, 20);
  Matrix learned = test::normal<double>(random, 90, 20);
  std::vector<Index> order(90);
  std::iota(order.begin(), order.end(), 0);
  for (Index i = 89; i > 0; --i) std::swap(order[std::size_t(i)], order[std::size_t(random.between(0, i))]);
  for (Index i = 0; i < 60; ++i)
    learned.row(order[std::size_t(i)]) = truth.row(i) * random.pick({-1.0, 1e-200, 3.0, -1e200});
  CHECK(fg::mcc(learned, truth) == Approx(1).epsilon(1e-13));
  CHECK(fg::mcc(learned, truth) <= 1);
  // With fewer learned atoms than true atoms, the atoms without a match count as 0.
  CHECK(fg::mcc(truth.topRows(15), truth) == Approx(0.25).epsilon(1e-13));
  CHECK(fg::mcc(truth, truth.topRows(15)) == Approx(1).epsilon(1e-13));
  CHECK(fg::mcc(truth.row(0), truth.row(0)) == Approx(1).epsilon(1e-13));
  CHECK(fg::mcc(Matrix::Zero(3, 20), truth) == 0);
  CHECK(fg::mcc(truth, Matrix::Zero(3, 20)) == 0);
  for (const double value : {not_a_number, infinity}) {
    learned(40, 3) = value;
    CHECK(std::isnan(fg::mcc(learned, truth)));
    CHECK(std::isnan(fg::mcc(truth, learned)));
  }
}

TEST_CASE("measures throw errors for empty or mismatched inputs") {
  const Matrix x = Matrix::Random(4, 3), none(0, 3), narrow(4, 0), flat = Matrix::Constant(4, 3, 0.1);
  CHECK_THROWS_WITH(fg::l0(none), "filigree: l0(codes): codes must have at least one sample, got 0x3");
  CHECK_THROWS_WITH(fg::density(Eigen::SparseMatrix<float>(0, 5)),
                    "filigree: density(codes): codes must have at least one sample, got 0x5");
  CHECK_THROWS_WITH(fg::dead_latents(none),
                    "filigree: dead_latents(codes, threshold): codes must have at least one sample, got 0x3");
  CHECK_THROWS_WITH(fg::dead_latents(x, -0.5),
                    "filigree: dead_latents(codes, threshold): threshold must be from 0 to 1, got -0.5");
  CHECK_THROWS_WITH(fg::dead_latents(x, not_a_number), contains("got nan"));
  CHECK(fg::l0(narrow) == 0);

  CHECK_THROWS_WITH(fg::explained_variance(x, x.topRows(2)),
                    "filigree: explained_variance(x, x_hat): x_hat is 2x3 and must have the shape of x, 4x3");
  CHECK_THROWS_WITH(fg::normalized_mse(x, x.leftCols(2)),
                    "filigree: normalized_mse(x, x_hat): x_hat is 4x2 and must have the shape of x, 4x3");
  CHECK_THROWS_WITH(fg::normalized_mse(none, none),
                    "filigree: normalized_mse(x, x_hat): x must have at least one sample and one feature, got 0x3");
  CHECK_THROWS_WITH(fg::explained_variance(narrow, narrow), contains("got 4x0"));
  CHECK_THROWS_WITH(fg::explained_variance(flat, x),
                    "filigree: explained_variance(x, x_hat): the samples of x must differ, and these 4 are all equal");
  CHECK_THROWS_WITH(fg::normalized_mse(x.topRows(1), x.topRows(1)), contains("and these 1 are all equal"));

  CHECK_THROWS_WITH(fg::hoyer(Vector()), "filigree: hoyer(v): v must have at least one entry");
  CHECK_THROWS_WITH(fg::gini(Vector()), "filigree: gini(v): v must have at least one entry");
  CHECK_THROWS_WITH(fg::treves_rolls(Vector()), "filigree: treves_rolls(v): v must have at least one entry");

  CHECK_THROWS_WITH(fg::mcc(x, x.leftCols(2)),
                    "filigree: mcc(learned, truth): learned.cols() = 3 must equal truth.cols() = 2");
  CHECK_THROWS_WITH(fg::mcc(none, x),
                    "filigree: mcc(learned, truth): the dictionaries must not be empty, got 0x3 and 4x3");
  CHECK_THROWS_AS(fg::mcc(x, none), fg::Error);
  CHECK_THROWS_AS(fg::mcc(narrow, narrow), fg::Error);
}

TEST_CASE("psnr is the peak relative to the error, in decibels") {
  Random random(77);
  Matrix a(6, 5), b(6, 5);
  for (Index i = 0; i < a.size(); ++i) {
    a.data()[i] = random.uniform(0, 255);
    b.data()[i] = a.data()[i] + 3 * random.normal();
  }
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += (a.data()[i] - b.data()[i]) * (a.data()[i] - b.data()[i]);
  CHECK(fg::psnr(a, b, 255) == Approx(10 * std::log10(255.0 * 255.0 * 30 / sum)));
  CHECK(fg::psnr(a.cast<float>(), b.cast<float>(), 255) == Approx(fg::psnr(a, b, 255)).epsilon(1e-5));
  CHECK(fg::psnr(Matrix::Zero(2, 2), Matrix::Constant(2, 2, 0.1)) == Approx(20));
  CHECK(fg::psnr(a, a) == infinity);
  b(1, 1) = not_a_number;
  CHECK(std::isnan(fg::psnr(a, b)));
  CHECK_THROWS_WITH(fg::psnr(a, b.topRows(2)), contains("b must be 6x5, is 2x5"));
  CHECK_THROWS_WITH(fg::psnr(a.topRows(0), a.topRows(0)), contains("must not be empty"));
  CHECK_THROWS_WITH(fg::psnr(a, a, 0), contains("peak must be positive and finite, got 0"));
}
