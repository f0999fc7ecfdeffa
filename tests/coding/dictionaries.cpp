// SPDX-License-Identifier: MIT
#include <cmath>
#include <filigree/coding/coding.hpp>
#include <filigree/core/thread_pool.hpp>
#include <limits>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;

namespace {

template <class S>
Matrix<S> normal(Index rows, Index cols, std::uint64_t stream) {
  test::Random random(stream);
  Matrix<S> x(rows, cols);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<S>(random.normal());
  return x;
}

/// Returns samples that are combinations of three of the atoms each.
template <class S>
Matrix<S> combinations(const Matrix<S>& atoms, Index count, std::uint64_t stream) {
  test::Random random(stream);
  Matrix<S> x = Matrix<S>::Zero(count, atoms.cols());
  for (Index i = 0; i < count; ++i)
    for (int use = 0; use < 3; ++use) {
      const S code = static_cast<S>((random.chance(0.5) ? 1 : -1) * random.uniform(1, 2));
      x.row(i) += code * atoms.row(random.between(0, atoms.rows() - 1));
    }
  return x;
}

template <class S>
Matrix<S> unit_atoms(Index k, Index d, std::uint64_t stream) {
  Matrix<S> atoms = normal<S>(k, d, stream);
  atoms.rowwise().normalize();
  return atoms;
}

/// Returns the number of atoms that are equal to a learned atom or its negative, but for 0.01 of the cosine.
template <class S>
Index found(const Matrix<S>& atoms, const Matrix<S>& learned) {
  return ((atoms * learned.transpose()).cwiseAbs().rowwise().maxCoeff().array() > S(0.99)).count();
}

template <class S>
void check_unit(const Matrix<S>& atoms) {
  CHECK((atoms.rowwise().norm().array() - S(1)).abs().maxCoeff() <= S(1e-5));
}

}  // namespace

TEMPLATE_TEST_CASE("the dictionaries of sparse combinations are found", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Matrix<S> atoms = unit_atoms<S>(15, 20, 1), x = combinations(atoms, 1500, 2);
  const fg::dictionary_options options{.atoms = 15, .iterations = 40, .batch = 100, .seed = 3, .progress = false};
  const auto pairs = fg::k_svd(x, fg::omp{.k = 3}, options);
  check_unit<S>(pairs.atoms);
  CHECK(found<S>(atoms, pairs.atoms) >= 13);
  CHECK(pairs.objectives.size() == 40);
  CHECK(pairs.objectives.back() < 0.2 * pairs.objectives.front());
  const auto turns = fg::dictionary_learning(x, fg::coordinate_descent{.alpha = 0.2}, options);
  check_unit<S>(turns.atoms);
  CHECK(found<S>(atoms, turns.atoms) >= 12);
  const auto online = fg::online_dictionary_learning(x, fg::coordinate_descent{.alpha = 0.2}, options);
  check_unit<S>(online.atoms);
  CHECK(found<S>(atoms, online.atoms) >= 8);
}

TEST_CASE("the objective of alternating dictionary learning decreases") {
  const Matrix<double> x = normal<double>(200, 8, 4);
  const auto decreases = [&](const auto& method) {
    const auto learned = fg::dictionary_learning(x, method, {.atoms = 12, .iterations = 30, .progress = false});
    for (std::size_t i = 1; i < learned.objectives.size(); ++i)
      CHECK(learned.objectives[i] <= learned.objectives[i - 1] * (1 + 1e-9));
    CHECK(learned.objectives.back() < 0.99 * learned.objectives.front());
    // The last objective is that of the codes in the result.
    const Matrix<double> codes = fg::encode(x, learned.atoms, method);
    const double objective =
        (0.5 * (x - codes * learned.atoms).squaredNorm() + method.alpha * codes.cwiseAbs().sum()) / 200;
    CHECK(learned.objectives.back() == Approx(objective).epsilon(1e-6));
  };
  decreases(fg::coordinate_descent{.alpha = 0.5, .tolerance = 1e-12});
  decreases(fg::coordinate_descent{.alpha = 0.5, .non_negative = true, .tolerance = 1e-12});
  decreases(fg::fista{.alpha = 0.5, .tolerance = 1e-10});
}

TEST_CASE("update_atoms is block coordinate descent") {
  const Matrix<double> x = normal<double>(60, 7, 5);
  Matrix<double> atoms = unit_atoms<double>(9, 7, 6), expected = atoms;
  Matrix<double> codes = fg::encode(x, atoms, fg::omp{.k = 3});
  codes.col(4).setZero();
  for (Index j = 0; j < 9; ++j) {
    const Eigen::VectorXd c = codes.col(j);
    if (c.isZero(0)) continue;
    // The minimum over d_j of ½ ‖X − C D‖², projected.
    const Matrix<double> others = x - codes * expected + c * expected.row(j);
    expected.row(j) = c.transpose() * others / c.squaredNorm();
    if (expected.row(j).norm() > 1) expected.row(j).normalize();
  }
  const Eigen::SparseMatrix<double, Eigen::RowMajor> sparse = codes.sparseView();
  fg::update_atoms(atoms, sparse, x);
  CHECK((atoms - expected).cwiseAbs().maxCoeff() <= 1e-12);
  CHECK_THROWS_WITH(fg::update_atoms(atoms, sparse, x.topRows(59)), contains("codes must be 59x9"));
}

TEST_CASE("a pass of k_svd updates each atom with its codes") {
  const Matrix<double> x = normal<double>(300, 6, 7);
  Matrix<double> atoms = unit_atoms<double>(10, 6, 8);
  const auto learned = fg::k_svd(x, atoms, fg::omp{.k = 2}, {.iterations = 1, .progress = false});
  Matrix<double> codes = fg::encode(x, atoms, fg::omp{.k = 2});
  for (Index j = 0; j < 10; ++j) {
    const Eigen::VectorXd g = codes.col(j);
    const Matrix<double> e = x - codes * atoms + g * atoms.row(j);
    atoms.row(j) = g.transpose() * e;
    atoms.row(j).normalize();
    const Eigen::VectorXd next = e * atoms.row(j).transpose();
    for (Index i = 0; i < 300; ++i) codes(i, j) = g[i] == 0 ? 0 : next[i];
  }
  CHECK((atoms - learned.atoms).cwiseAbs().maxCoeff() <= 1e-10);
  CHECK(learned.objectives.at(0) == Approx(0.5 * (x - codes * atoms).squaredNorm() / 300));
}

TEST_CASE("a step of an online dictionary follows the formulas") {
  const Matrix<double> x = normal<double>(40, 5, 9);
  Matrix<double> atoms = unit_atoms<double>(6, 5, 10), a = Matrix<double>::Zero(6, 6), b = Matrix<double>::Zero(6, 5);
  const fg::coordinate_descent method{.alpha = 0.1, .tolerance = 1e-13};
  fg::OnlineDictionary<double, fg::coordinate_descent> online(3 * atoms, method);  // scaled to length 1
  for (int t = 1; t <= 12; ++t) {
    const Index size = 10;
    const Matrix<double> batch = x.middleRows(10 * ((t - 1) % 4), size);
    const Matrix<double> codes = fg::encode(batch, atoms, method);
    const double objective =
        (0.5 * (batch - codes * atoms).squaredNorm() + 0.1 * codes.cwiseAbs().sum()) / static_cast<double>(size);
    CHECK(online.step(batch) == Approx(objective).epsilon(1e-8));
    const double theta = t < size ? double(t * size) : double(size * size + t - size);
    const double beta = (theta + 1 - double(size)) / (theta + 1);
    a = beta * a + codes.transpose() * codes;
    b = beta * b + codes.transpose() * batch;
    for (Index j = 0; j < 6; ++j) {
      atoms.row(j) += (b.row(j) - a.row(j) * atoms) / a(j, j);
      atoms.row(j) /= std::max(1.0, atoms.row(j).norm());
    }
    atoms.rowwise().normalize();
    CHECK((atoms - online.atoms()).cwiseAbs().maxCoeff() <= 1e-8);
  }
  CHECK(online.steps() == 12);
  CHECK_THROWS_WITH(online.step(x.leftCols(4)), contains("batch has 4 columns, but the dictionary has 5"));
  CHECK_THROWS_WITH(online.step(x.topRows(0)), contains("must have at least 1 row"));
  Matrix<double> bad = x;
  bad(3, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(online.step(bad), contains("row 3 of the batch must be finite"));
  CHECK(online.steps() == 12);
}

TEST_CASE("an atom that no sample uses is replaced by the sample with the largest residual") {
  Matrix<double> x = Matrix<double>::Zero(5, 4);
  x << 1, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 9, 1, 0, 1, 0, 0;
  Matrix<double> atoms = Matrix<double>::Zero(3, 4);
  atoms(0, 0) = atoms(1, 1) = 1;
  atoms(2, 1) = 1;  // a duplicate, which is not used
  const Matrix<double> worst = x.row(3).normalized();
  const fg::dictionary_options once{.iterations = 1, .progress = false};
  CHECK((fg::k_svd(x, atoms, fg::omp{.k = 1}, once).atoms.row(2) - worst).norm() <= 1e-12);
  CHECK((fg::dictionary_learning(x, atoms, fg::omp{.k = 1}, once).atoms.row(2) - worst).norm() <= 1e-12);
  CHECK((fg::online_dictionary_learning(x, atoms, fg::omp{.k = 1}, once).atoms.row(2) - worst).norm() <= 1e-12);
}

TEST_CASE("learned dictionaries depend on the seed and not on the number of threads") {
  const Matrix<float> x = normal<float>(5000, 9, 11);
  fg::thread_pool pool(3);
  const fg::dictionary_options serial{.atoms = 14, .iterations = 3, .seed = 5, .progress = false};
  fg::dictionary_options parallel = serial, other = serial;
  parallel.executor = fg::ExecutorRef(pool);
  other.seed = 6;
  const auto check = [&](const auto& learn) {
    const auto a = learn(serial), b = learn(parallel), c = learn(other);
    CHECK(a.atoms == b.atoms);
    CHECK(a.objectives == b.objectives);
    CHECK(a.atoms != c.atoms);
  };
  check([&](const auto& o) { return fg::k_svd(x, fg::omp{.k = 2}, o); });
  check([&](const auto& o) { return fg::dictionary_learning(x, fg::coordinate_descent{.alpha = 0.5}, o); });
  check([&](const auto& o) { return fg::online_dictionary_learning(x, fg::omp{.k = 2}, o); });
}

TEST_CASE("dictionary learning at its edges") {
  const Matrix<double> x = normal<double>(4, 3, 12);
  // More atoms than samples.
  const auto many = fg::k_svd(x, fg::omp{.k = 1}, {.atoms = 7, .iterations = 2, .progress = false});
  check_unit<double>(many.atoms);
  const auto none = fg::k_svd(x, fg::omp{.k = 1}, {.atoms = 2, .iterations = 0});
  CHECK(none.objectives.empty());
  check_unit<double>(none.atoms);
  const auto zeros = fg::dictionary_learning(Matrix<double>::Zero(5, 3), fg::fista{.alpha = 1},
                                             {.atoms = 2, .iterations = 2, .progress = false});
  check_unit<double>(zeros.atoms);
  CHECK(zeros.objectives == std::vector<double>{0, 0});
  const fg::omp one{.k = 1};
  CHECK_THROWS_WITH(fg::k_svd(x, one, {}), contains("atoms must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::k_svd(x, one, {.atoms = 2, .iterations = -1}), contains("iterations must be at least 0"));
  CHECK_THROWS_WITH(fg::online_dictionary_learning(x, one, {.atoms = 2, .batch = 0}),
                    contains("batch must be at least 1"));
  CHECK_THROWS_WITH(fg::k_svd(Matrix<double>(0, 3), one, {.atoms = 2}), contains("X must have at least 1 row"));
  CHECK_THROWS_WITH(fg::k_svd(x, Matrix<double>(2, 4), one, {}), contains("has 4 columns, but X has 3"));
  CHECK_THROWS_WITH(fg::k_svd(x, Matrix<double>(2, 3), one, {.atoms = 3}), contains("must equal the 2 atoms"));
  CHECK_THROWS_WITH(fg::dictionary_learning(x, fg::fista{.alpha = -1}, {.atoms = 2}), contains("alpha must be"));
  Matrix<double> bad = x;
  bad(2, 1) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(fg::dictionary_learning(bad, one, {.atoms = 2}), contains("row 2 of X must be finite"));
}
