// SPDX-License-Identifier: MIT
#include <Eigen/LU>
#include <Eigen/QR>
#include <array>
#include <cmath>
#include <filigree/coding/coding.hpp>
#include <filigree/core/thread_pool.hpp>
#include <filigree/select/top_k.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::ColMatrix;
using test::Index;
using test::Matrix;
template <class S>
using Sparse = Eigen::SparseMatrix<S, Eigen::RowMajor>;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class S>
Matrix<S> normal(Index rows, Index cols, std::uint64_t stream) {
  test::Random random(stream);
  Matrix<S> x(rows, cols);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<S>(random.normal());
  return x;
}

template <class S>
Matrix<S> unit_atoms(Index k, Index d, std::uint64_t stream) {
  Matrix<S> atoms = normal<S>(k, d, stream);
  atoms.rowwise().normalize();
  return atoms;
}

/// Returns the largest violation of the conditions of optimality: d_j . r = alpha sign(c_j) where c_j is not 0, else
/// |d_j . r| <= alpha (d_j . r <= alpha if non_negative).
double violation(const Matrix<double>& x, const Matrix<double>& atoms, const Matrix<double>& codes, double alpha,
                 bool non_negative = false) {
  const Matrix<double> h = (x - codes * atoms) * atoms.transpose();
  double worst = 0;
  for (Index i = 0; i < codes.rows(); ++i)
    for (Index j = 0; j < codes.cols(); ++j) {
      const double c = codes(i, j);
      double v = non_negative ? h(i, j) - alpha : std::abs(h(i, j)) - alpha;
      if (c != 0) v = std::abs(h(i, j) - std::copysign(alpha, c));
      if (non_negative && c < 0) v = 1e300;
      worst = std::max(worst, v);
    }
  return worst;
}

double objective(const Matrix<double>& x, const Matrix<double>& atoms, const Matrix<double>& codes, double alpha) {
  return 0.5 * (x - codes * atoms).squaredNorm() + alpha * codes.cwiseAbs().sum();
}

/// Orthogonal matching pursuit of one sample: the least squares problem is solved anew in each step.
Eigen::VectorXd slow_omp(const Eigen::VectorXd& x, const Matrix<double>& atoms, Index k, double tolerance) {
  std::vector<Index> chosen;
  Eigen::VectorXd codes = Eigen::VectorXd::Zero(atoms.rows()), residual = x;
  while (static_cast<Index>(chosen.size()) < k && residual.norm() > tolerance) {
    Index best = -1;
    double largest = 1e-12;
    for (Index j = 0; j < atoms.rows(); ++j) {
      const double length = atoms.row(j).norm();
      const double cosine = length > 0 ? std::abs(atoms.row(j).dot(residual)) / length : 0;
      if (cosine > largest) {
        largest = cosine;
        best = j;
      }
    }
    if (best < 0) break;
    chosen.push_back(best);
    Eigen::MatrixXd columns(x.size(), static_cast<Index>(chosen.size()));
    for (std::size_t s = 0; s < chosen.size(); ++s) columns.col(static_cast<Index>(s)) = atoms.row(chosen[s]);
    const Eigen::VectorXd fitted = columns.householderQr().solve(x);
    residual = x - columns * fitted;
    codes.setZero();
    for (std::size_t s = 0; s < chosen.size(); ++s) codes[chosen[s]] = fitted[static_cast<Index>(s)];
  }
  return codes;
}

template <class A, class B>
double distance(const A& a, const B& b) {
  return a.size() == 0 ? 0.0 : (a - b).cwiseAbs().maxCoeff();
}

}  // namespace

TEST_CASE("the lasso satisfies its conditions of optimality") {
  for (const auto& [n, k, d] : {std::array<Index, 3>{40, 30, 12}, {70, 5, 20}, {3, 100, 9}, {1, 1, 1}}) {
    CAPTURE(n, k, d);
    const Matrix<double> x = 2 * normal<double>(n, d, 1), atoms = unit_atoms<double>(k, d, 2);
    for (const double alpha : {0.02, 0.3, 1.5})
      for (const bool non_negative : {false, true}) {
        CAPTURE(alpha, non_negative);
        const Matrix<double> cd =
            fg::encode(x, atoms, fg::coordinate_descent{.alpha = alpha, .non_negative = non_negative, .tolerance = 0});
        const Matrix<double> steps = fg::encode(
            x, atoms,
            fg::fista{.alpha = alpha, .non_negative = non_negative, .tolerance = 1e-15, .max_iterations = 20000});
        CHECK(violation(x, atoms, cd, alpha, non_negative) <= 1e-8);
        CHECK(violation(x, atoms, steps, alpha, non_negative) <= 1e-6);
        CHECK(objective(x, atoms, cd, alpha) <= objective(x, atoms, steps, alpha) * (1 + 1e-12));
        CHECK(objective(x, atoms, steps, alpha) <= objective(x, atoms, cd, alpha) * (1 + 1e-9));
      }
  }
}

TEMPLATE_TEST_CASE("the lasso stops by its duality gap", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Matrix<S> x = normal<S>(50, 16, 3), atoms = unit_atoms<S>(40, 16, 4);
  const Matrix<double> wide_x = x.template cast<double>(), wide = atoms.template cast<double>();
  const double alpha = 0.2;
  const Matrix<double> best = fg::encode(wide_x, wide, fg::coordinate_descent{.alpha = alpha, .tolerance = 0});
  for (const double tolerance : {1e-1, 1e-3, 1e-5}) {
    const Matrix<S> steps = fg::encode(x, atoms, fg::fista{.alpha = alpha, .tolerance = tolerance});
    const Matrix<S> cd = fg::encode(x, atoms, fg::coordinate_descent{.alpha = alpha, .tolerance = tolerance});
    for (Index i = 0; i < x.rows(); ++i) {
      const auto at = [&](const Matrix<S>& c) {
        return objective(wide_x.row(i), wide, c.row(i).template cast<double>(), alpha);
      };
      const double lowest = objective(wide_x.row(i), wide, best.row(i), alpha);
      CHECK(at(steps) - lowest <= tolerance * at(steps) * 1.01 + 1e-12);
      CHECK(at(cd) - lowest <= tolerance * at(cd) * 1.01 + 1e-12);
    }
  }
  const Matrix<S> none = fg::encode(x, atoms, fg::fista{.alpha = alpha, .max_iterations = 0});
  CHECK(none.isZero(0));
  const Matrix<S> untouched = fg::encode(x, atoms, fg::coordinate_descent{.alpha = alpha, .max_iterations = 0});
  CHECK(untouched.isZero(0));
}

TEST_CASE("orthogonal matching pursuit agrees with least squares on the support in each step") {
  for (const auto& [n, k, d] : {std::array<Index, 3>{33, 30, 12}, {40, 6, 20}, {5, 100, 9}}) {
    CAPTURE(n, k, d);
    const Matrix<double> x = normal<double>(n, d, 5);
    Matrix<double> atoms = normal<double>(k, d, 6);  // of any length
    atoms.row(k / 2).setZero();
    for (const Index count : {Index(1), Index(3), Index(8), Index(1000)})
      for (const double tolerance : {0.0, 1.0}) {
        CAPTURE(count, tolerance);
        const Matrix<double> codes = fg::encode(x, atoms, fg::omp{.k = count, .tolerance = tolerance});
        for (Index i = 0; i < n; ++i) {
          const Eigen::VectorXd expected = slow_omp(x.row(i), atoms, std::min({count, k, d}), tolerance);
          CHECK(distance(codes.row(i).transpose(), expected) <= 1e-9);
        }
      }
    const Matrix<double> by_tolerance = fg::encode(x, atoms, fg::omp{.tolerance = 2.5});
    if (k > d) CHECK((x - by_tolerance * atoms).rowwise().norm().maxCoeff() <= 2.5 + 1e-12);
  }
}

TEST_CASE("matching pursuit moves one code in each step") {
  const Matrix<double> x = normal<double>(20, 7, 7), atoms = 3 * unit_atoms<double>(15, 7, 8);
  for (const bool non_negative : {false, true}) {
    const Matrix<double> codes = fg::encode(x, atoms, fg::matching_pursuit{.k = 6, .non_negative = non_negative});
    for (Index i = 0; i < x.rows(); ++i) {
      Eigen::VectorXd residual = x.row(i), expected = Eigen::VectorXd::Zero(15);
      for (int step = 0; step < 6; ++step) {
        const Eigen::VectorXd h = atoms * residual / 9;
        Index j = 0;
        const double largest = non_negative ? h.maxCoeff(&j) : h.cwiseAbs().maxCoeff(&j);
        if (largest <= 0) break;
        expected[j] += h[j];
        residual -= h[j] * atoms.row(j).transpose();
      }
      CHECK(distance(codes.row(i).transpose(), expected) <= 1e-12);
    }
  }
  const Matrix<double> close = fg::encode(x, atoms, fg::matching_pursuit{.tolerance = 0.5});
  CHECK((x - close * atoms).rowwise().norm().maxCoeff() <= 0.5 + 1e-12);
}

TEMPLATE_TEST_CASE("soft_threshold is one step of the lasso", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Matrix<S> x = normal<S>(40, 16, 9), atoms = unit_atoms<S>(24, 16, 10);
  const Matrix<S> codes = fg::encode(x, atoms, fg::soft_threshold(0.5));
  const Matrix<S> h = x * atoms.transpose();
  for (Index i = 0; i < h.size(); ++i) {
    const S z = h.data()[i], expected = std::abs(z) > S(0.5) ? z - std::copysign(S(0.5), z) : S(0);
    CHECK(std::abs(codes.data()[i] - expected) <= S(1e-5));
  }
}

TEMPLATE_TEST_CASE("codes are the same in every layout, for any number of threads and for each sample alone", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Matrix<S> x = normal<S>(150, 10, 11), atoms = unit_atoms<S>(21, 10, 12);
  fg::thread_pool pool(3);
  fg::Workspace workspace;
  const auto check = [&](const auto& method) {
    const Sparse<S> codes = fg::encode(x, atoms, method);
    const Matrix<S> dense = codes;
    CHECK(codes.isCompressed());
    CHECK(codes.nonZeros() == (dense.array() != S(0)).count());
    const Matrix<S> parallel = fg::encode(x, atoms, method).on(pool).with(workspace);
    CHECK(parallel == dense);
    const ColMatrix<S> columns = x, column_atoms = atoms;
    const ColMatrix<S> of_columns = fg::encode(columns, column_atoms, method);
    CHECK(of_columns == dense);
    const Matrix<S> of_expression = fg::encode(x.array() + S(0), Matrix<S>(atoms), method);
    CHECK(of_expression == dense);
    const Matrix<S> alone = fg::encode(x.middleRows(77, 1), atoms, method);
    CHECK(alone == dense.row(77));
    Matrix<S> sum = dense;
    sum += fg::encode(x, atoms, method);
    CHECK(sum == 2 * dense);
    Eigen::SparseMatrix<S> by_column = fg::encode(x, atoms, method);
    CHECK(Matrix<S>(by_column) == dense);
    const Sparse<S> largest = fg::encode(x, atoms, method) | fg::top_k(2);
    const Sparse<S> expected = dense | fg::top_k(2);
    CHECK(Matrix<S>(largest) == Matrix<S>(expected));
    Matrix<S> target = x;
    target = fg::encode(target, atoms, method);  // the target is an operand
    CHECK(target == dense);
  };
  check(fg::fista{.alpha = 0.3, .tolerance = 1e-4});
  check(fg::coordinate_descent{.alpha = 0.3});
  check(fg::omp{.k = 4});
  check(fg::matching_pursuit{.k = 4});
  check(fg::soft_threshold(0.3));
}

TEST_CASE("edge cases of sparse coding") {
  const Matrix<double> x = normal<double>(6, 5, 13), atoms = unit_atoms<double>(8, 5, 14);
  const auto each = [&](const Matrix<double>& samples, const Matrix<double>& dictionary, const auto& check) {
    check(Matrix<double>(fg::encode(samples, dictionary, fg::fista{.alpha = 0.3, .tolerance = 1e-12})));
    check(Matrix<double>(fg::encode(samples, dictionary, fg::coordinate_descent{.alpha = 0.3})));
    check(Matrix<double>(fg::encode(samples, dictionary, fg::omp{.k = 3})));
    check(Matrix<double>(fg::encode(samples, dictionary, fg::matching_pursuit{.k = 3})));
    check(Matrix<double>(fg::encode(samples, dictionary, fg::soft_threshold(0.3))));
  };
  SECTION("no samples, no atoms, no features") {
    each(Matrix<double>(0, 5), atoms, [](const Matrix<double>& c) { CHECK((c.rows() == 0 && c.cols() == 8)); });
    each(x, Matrix<double>(0, 5), [](const Matrix<double>& c) { CHECK((c.rows() == 6 && c.cols() == 0)); });
    each(Matrix<double>(6, 0), Matrix<double>(8, 0),
         [](const Matrix<double>& c) { CHECK((c.rows() == 6 && c.isZero(0))); });
  }
  SECTION("samples and atoms of zeros") {
    each(Matrix<double>::Zero(6, 5), atoms, [](const Matrix<double>& c) { CHECK(c.isZero(0)); });
    each(x, Matrix<double>::Zero(8, 5), [](const Matrix<double>& c) { CHECK(c.isZero(0)); });
    Matrix<double> some = atoms;
    some.row(2).setZero();
    each(x, some, [](const Matrix<double>& c) { CHECK(c.col(2).isZero(0)); });
  }
  SECTION("duplicate atoms") {
    Matrix<double> twice(16, 5);
    twice << atoms, atoms;
    each(x, twice, [](const Matrix<double>& c) { CHECK(c.allFinite()); });
    const Matrix<double> codes = fg::encode(x, twice, fg::coordinate_descent{.alpha = 0.1, .tolerance = 0});
    CHECK(violation(x, twice, codes, 0.1) <= 1e-8);
    const Matrix<double> fitted = fg::encode(x, twice, fg::omp{.k = 16});
    CHECK(distance(fitted * twice, x) <= 1e-10);
    CHECK((fitted.array() != 0).rowwise().count().maxCoeff() <= 5);
  }
  SECTION("a large alpha gives zeros, alpha = 0 least squares") {
    const double largest = (x * atoms.transpose()).cwiseAbs().maxCoeff();
    for (const double alpha : {largest, 2 * largest, 1e300}) {
      const Sparse<double> a = fg::encode(x, atoms, fg::fista{.alpha = alpha});
      const Sparse<double> b = fg::encode(x, atoms, fg::coordinate_descent{.alpha = alpha});
      CHECK(a.nonZeros() == 0);
      CHECK(b.nonZeros() == 0);
    }
    const Matrix<double> few = atoms.topRows(3);
    const Matrix<double> right = x * few.transpose() * (few * few.transpose()).inverse();
    const Matrix<double> a = fg::encode(x, few, fg::fista{.alpha = 0, .tolerance = 1e-12});
    const Matrix<double> b = fg::encode(x, few, fg::coordinate_descent{.alpha = 0, .tolerance = 1e-12});
    CHECK(distance(a, right) <= 1e-9);
    CHECK(distance(b, right) <= 1e-9);
    const Matrix<double> many = fg::encode(x, atoms, fg::coordinate_descent{.alpha = 0, .tolerance = 1e-12});
    CHECK(distance(many * atoms, x) <= 1e-9);
  }
  SECTION("extreme scales") {
    for (const double scale : {1e-100, 1e100}) {
      const Matrix<double> scaled = scale * x;
      const Matrix<double> codes =
          fg::encode(scaled, atoms, fg::coordinate_descent{.alpha = 0.1 * scale, .tolerance = 0});
      CHECK(violation(scaled / scale, atoms, codes / scale, 0.1) <= 1e-8);
    }
  }
}

TEST_CASE("iterative methods start from given codes") {
  const Matrix<double> x = normal<double>(40, 12, 15), atoms = unit_atoms<double>(30, 12, 16);
  const fg::coordinate_descent method{.alpha = 0.2, .tolerance = 1e-9};
  const Sparse<double> best = fg::encode(x, atoms, method);
  // Without a single iteration, the start is the result.
  const Matrix<double> kept =
      fg::encode(x, atoms, fg::coordinate_descent{.alpha = 0.2, .max_iterations = 0}).start(best);
  CHECK(kept == Matrix<double>(best));
  const Matrix<double> steps = fg::encode(x, atoms, fg::fista{.alpha = 0.2, .max_iterations = 0}).start(best);
  CHECK(steps == Matrix<double>(best));
  const Matrix<double> far_away = normal<double>(40, 30, 17);
  const Matrix<double> again =
      fg::encode(x, atoms, fg::coordinate_descent{.alpha = 0.2, .tolerance = 0}).start(far_away);
  CHECK(violation(x, atoms, again, 0.2) <= 1e-8);
  const Matrix<double> positive =
      fg::encode(x, atoms, fg::fista{.alpha = 0.2, .non_negative = true, .tolerance = 1e-13}).start(far_away);
  CHECK(violation(x, atoms, positive, 0.2, true) <= 1e-5);
  CHECK_THROWS_WITH(fg::encode(x, atoms, method).start(Matrix<double>(40, 29)),
                    contains("codes must be 40x30, is 40x29"));
  Matrix<double> bad = far_away;
  bad(3, 4) = not_a_number;
  CHECK_THROWS_WITH(fg::encode(x, atoms, method).start(bad), contains("codes must be finite"));
}

TEST_CASE("sparse coding rejects bad arguments") {
  Matrix<double> x = normal<double>(6, 5, 18), atoms = unit_atoms<double>(8, 5, 19), out = Matrix<double>::Ones(2, 2);
  CHECK_THROWS_WITH(fg::encode(x, atoms.leftCols(4), fg::omp{.k = 1}),
                    contains("X.cols() = 5 must equal dictionary.cols() = 4"));
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::omp{}), contains("one of k and tolerance must be positive"));
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::omp{.k = -1}), contains("k must be at least 0, got -1"));
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::matching_pursuit{.k = 1, .tolerance = not_a_number}),
                    contains("matching_pursuit{.tolerance}: tolerance must be at least 0, got nan"));
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::fista{.alpha = -1}),
                    contains("alpha must be finite and at least 0, got -1"));
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::coordinate_descent{.alpha = not_a_number}), contains("got nan"));
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::coordinate_descent{.tolerance = 1}), contains("must be in [0, 1), got 1"));
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::fista{.max_iterations = -1}), contains("must be at least 0, got -1"));
  x(4, 2) = not_a_number;
  CHECK_THROWS_WITH(out = fg::encode(x, atoms, fg::omp{.k = 1}), contains("row 4 of X must be finite"));
  CHECK(out == Matrix<double>::Ones(2, 2));
  x(4, 2) = 0;
  atoms(7, 0) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(out = fg::encode(x, atoms, fg::fista{}), contains("row 7 of the dictionary must be finite"));
}

TEST_CASE("omp codes samples by their known numbers") {
  for (const Index d : {1, 6, 20})
    for (const Index k : {1, 5, 50}) {
      CAPTURE(d, k);
      const Index n = 70;
      Matrix<double> x = normal<double>(n, d, 31), atoms = normal<double>(k, d, 32);
      atoms.row(k / 2).head(d / 2) *= 0.01;
      test::Random random(33);
      Eigen::ArrayXXi mask(n, d);
      for (Index e = 0; e < mask.size(); ++e) mask.data()[e] = random.chance(0.6) ? 1 : 0;
      mask.row(3).setZero();
      mask.row(4).setOnes();
      for (const fg::omp& method : {fg::omp{.k = 3}, {.tolerance = 0.7}, {.k = 4, .tolerance = 0.3}}) {
        // Least squares of the known numbers by the chosen atoms, chosen by the largest |cosine| with the residual.
        Matrix<double> expected = Matrix<double>::Zero(n, k);
        for (Index i = 0; i < n; ++i) {
          std::vector<Index> at, chosen;
          for (Index f = 0; f < d; ++f)
            if (mask(i, f) != 0) at.push_back(f);
          const auto all = Eigen::indexing::all;
          const Eigen::VectorXd known = x.row(i)(at).transpose();
          const Matrix<double> restricted = atoms(all, at);
          Eigen::VectorXd r = known, c;
          while (r.norm() > std::max(method.tolerance, 1e-9) && chosen.size() < at.size() &&
                 static_cast<Index>(chosen.size()) < (method.k > 0 ? std::min(method.k, k) : k)) {
            const Eigen::VectorXd norms = restricted.rowwise().norm();
            const Eigen::VectorXd cosines = (restricted * r).cwiseAbs().cwiseQuotient(norms);
            Index best = 0;
            if (cosines.maxCoeff(&best) < 1e-9) break;
            chosen.push_back(best);
            const Matrix<double> some = restricted(chosen, all);
            c = some.transpose().colPivHouseholderQr().solve(known);
            r = known - some.transpose() * c;
          }
          for (std::size_t s = 0; s < chosen.size(); ++s) expected(i, chosen[s]) = c[static_cast<Index>(s)];
        }
        Matrix<double> hidden = x;
        for (Index e = 0; e < n; ++e)
          for (Index f = 0; f < d; ++f)
            if (mask(e, f) == 0) hidden(e, f) = not_a_number;
        const Matrix<double> codes = fg::encode(hidden, atoms, method).known(mask);
        for (Index i = 0; i < n; ++i)  // with one known number, all atoms have a cosine of 1
          if (mask.row(i).sum() != 1)
            CHECK((codes - expected).row(i).cwiseAbs().maxCoeff() < 1e-8 * (1 + expected.cwiseAbs().maxCoeff()));
        CHECK(codes.row(3).isZero(0));
        fg::ThreadPool pool(3);
        const Matrix<double> parallel = fg::encode(hidden, atoms, method).known(mask != 0).on(pool);
        CHECK(test::same(parallel, codes));
        const Matrix<double> all_known = fg::encode(x, atoms, method).known(Eigen::ArrayXXi::Ones(n, d));
        const Matrix<double> plain = fg::encode(x, atoms, method);
        CHECK((all_known * atoms - plain * atoms).cwiseAbs().maxCoeff() < 1e-8);
      }
    }
  const Matrix<double> atoms = unit_atoms<double>(4, 3, 34);
  Matrix<double> x = normal<double>(2, 3, 35), codes;
  CHECK_THROWS_WITH(fg::encode(x, atoms, fg::omp{.k = 1}).known(Eigen::ArrayXXi::Ones(2, 4)),
                    "filigree: encode(X, dictionary, method).known(mask): the mask must be 2x3, is 2x4");
  x(1, 2) = not_a_number;
  CHECK_THROWS_WITH(codes = fg::encode(x, atoms, fg::omp{.k = 1}).known(Eigen::ArrayXXi::Ones(2, 3)),
                    "filigree: encode(X, dictionary, method): row 1 of X, at known numbers, must be finite");
  const Matrix<float> single = fg::encode(Matrix<float>(0, 3), Matrix<float>(atoms.cast<float>()), fg::omp{.k = 1})
                                   .known(Eigen::ArrayXXi::Ones(0, 3));
  CHECK(single.rows() == 0);
}
