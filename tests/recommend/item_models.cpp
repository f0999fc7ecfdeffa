// SPDX-License-Identifier: MIT
// ease, slim and recommendations against their formulas.
#include <Eigen/LU>
#include <cmath>
#include <filigree/core/thread_pool.hpp>
#include <filigree/recommend/recommend.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Dense = test::Matrix<double>;
using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;

namespace {

/// Ratings 1 to 5 with the given density. Item 1, if there is one, has no interactions.
Dense ratings(Random& random, Index users, Index items, double density) {
  Dense x = Dense::Zero(users, items);
  for (Index u = 0; u < users; ++u)
    for (Index i = 0; i < items; ++i)
      if (i != 1 && random.chance(density)) x(u, i) = static_cast<double>(random.between(1, 5));
  return x;
}

double largest(const Dense& x) { return x.size() > 0 ? x.cwiseAbs().maxCoeff() : 0; }

/// The objective of slim() for column j.
double objective(const Dense& x, const Dense& w, Index j, double l1, double l2) {
  return (x.col(j) - x * w.col(j)).squaredNorm() / 2 + l2 / 2 * w.col(j).squaredNorm() + l1 * w.col(j).sum();
}

}  // namespace

TEST_CASE("ease is the minimum of its objective, in closed form") {
  Random random(701);
  for (const Index items : {1, 3, 20, 64, 65, 150}) {
    CAPTURE(items);
    const Dense x = ratings(random, 60, items, 0.2);
    const double lambda = random.uniform(0.5, 5);
    const Dense b = fg::ease(Sparse(x.sparseView()), lambda);
    const Dense p = (Dense(x.transpose() * x) + lambda * Dense::Identity(items, items)).inverse();
    Dense expected(items, items);
    for (Index i = 0; i < items; ++i)
      for (Index j = 0; j < items; ++j) expected(i, j) = i == j ? 0 : -p(i, j) / p(j, j);
    CHECK(largest(b - expected) < 1e-12);
    CHECK(largest(b.diagonal()) == 0);
    // The gradient of the objective is 0 outside of the diagonal.
    Dense gradient = x.transpose() * (x * b - x) + lambda * b;
    gradient.diagonal().setZero();
    CHECK(largest(gradient) < 1e-10);
    if (items > 1) CHECK(largest(b.row(1)) + largest(b.col(1)) == 0);
    // Another layout, the scalar float, threads.
    CHECK(fg::ease(Eigen::SparseMatrix<double>(x.sparseView()), lambda) == b);
    CHECK(fg::ease(Eigen::SparseMatrix<float>(x.cast<float>().sparseView()), lambda) == b.cast<float>());
    fg::ThreadPool pool(3);
    CHECK(fg::ease(Sparse(x.sparseView()), lambda, pool) == b);
  }
}

TEST_CASE("slim satisfies the optimality conditions of non-negative elastic nets") {
  Random random(702);
  for (const Index items : {1, 2, 25, 70})
    for (const double l1 : {0.0, 1.0, 20.0})
      for (const double l2 : {0.0, 3.0}) {
        CAPTURE(items, l1, l2);
        const Dense x = ratings(random, 90, items, 0.15);
        const auto sparse = fg::slim(Sparse(x.sparseView()), {.l1 = l1, .l2 = l2, .tolerance = 1e-12});
        const Dense w = sparse;
        CHECK(sparse.isCompressed());
        CHECK((w.array() >= 0).all());
        CHECK(sparse.nonZeros() == (w.array() > 0).count());
        CHECK(largest(w.diagonal()) == 0);
        if (items > 1) CHECK(largest(w.row(1)) + largest(w.col(1)) == 0);
        const Dense gradient = x.transpose() * (x * w - x) + l2 * w + l1 * Dense::Ones(items, items);
        double violation = 0;
        for (Index i = 0; i < items; ++i)
          for (Index j = 0; j < items; ++j)
            if (i != j) violation = std::max(violation, w(i, j) > 0 ? std::abs(gradient(i, j)) : -gradient(i, j));
        CHECK(violation < 1e-7);
        fg::ThreadPool pool(3);
        const Dense threaded =
            fg::slim(Eigen::SparseMatrix<double>(x.sparseView()), {.l1 = l1, .l2 = l2, .tolerance = 1e-12}, pool);
        CHECK(threaded == w);
      }
  // Larger l1 gives fewer weights, and no random non-negative change lowers the objective.
  const Dense x = ratings(random, 90, 30, 0.2);
  const Dense few = fg::slim(Sparse(x.sparseView()), {.l1 = 30, .l2 = 1});
  const Dense many = fg::slim(Sparse(x.sparseView()), {.l1 = 1, .l2 = 1});
  CHECK((few.array() > 0).count() < (many.array() > 0).count());
  CHECK((few.array() > 0).count() > 0);
  for (int draw = 0; draw < 50; ++draw) {
    const Index j = random.between(0, 29);
    Dense moved = few;
    for (Index i = 0; i < 30; ++i)
      if (i != j) moved(i, j) = std::max(0.0, moved(i, j) + 0.01 * random.normal());
    CHECK(objective(x, few, j, 30, 1) <= objective(x, moved, j, 30, 1));
  }
  // Float: the same numbers, rounded.
  const Dense rounded = many.cast<float>().cast<double>();
  CHECK(Dense(fg::slim(Eigen::SparseMatrix<float>(x.cast<float>().sparseView())).cast<double>()) == rounded);
}

TEST_CASE("recommendations are the best items that a user has not seen") {
  Random random(703);
  for (const Index items : {1, 7, 40})
    for (const Index k : {1, 3, 50}) {
      CAPTURE(items, k);
      const Dense x = ratings(random, 37, items, 0.3);
      Dense b(items, items);
      for (Index e = 0; e < b.size(); ++e) b.data()[e] = random.chance(0.3) ? std::round(random.normal()) : 0;
      const auto best = fg::recommendations(Sparse(x.sparseView()), b, k);
      REQUIRE(best.columns.rows() == 37);
      REQUIRE(best.columns.cols() == std::min(k, items));
      const Dense scores = x * b;  // of integers, so exact
      for (Index u = 0; u < 37; ++u) {
        std::vector<char> used(static_cast<std::size_t>(items), 0);
        for (Index e = 0; e < best.columns.cols(); ++e) {
          Index top =
              -1;  // by definition: the largest unseen score that was not used before; the lowest item of equals
          for (Index i = 0; i < items; ++i)
            if (x(u, i) == 0 && used[static_cast<std::size_t>(i)] == 0 && (top < 0 || scores(u, i) > scores(u, top)))
              top = i;
          REQUIRE(best.columns(u, e) == top);
          CHECK(best.weights(u, e) == (top < 0 ? 0 : scores(u, top)));
          if (top >= 0) used[static_cast<std::size_t>(top)] = 1;
        }
      }
      const auto of_sparse = fg::recommendations(Eigen::SparseMatrix<double>(x.sparseView()),
                                                 Eigen::SparseMatrix<double>(b.sparseView()), k);
      CHECK(of_sparse.columns == best.columns);
      CHECK(of_sparse.weights == best.weights);
      const auto of_scores = fg::best_unseen(scores, Sparse(x.sparseView()), k);
      CHECK(of_scores.columns == best.columns);
      CHECK(of_scores.weights == best.weights);
      fg::ThreadPool pool(3);
      CHECK(fg::recommendations(Sparse(x.sparseView()), b, k, pool).columns == best.columns);
    }
  // A stored 0 is not seen; NaN ranks first, and -inf is never recommended.
  Sparse seen(1, 4);
  seen.insert(0, 0) = 0;
  seen.insert(0, 1) = 2;
  const double inf = std::numeric_limits<double>::infinity();
  const auto best = fg::best_unseen(Eigen::RowVector4d(1, 9, std::nan(""), -inf), seen, 4);
  CHECK(best.columns == (Eigen::Matrix<Index, 1, 4>(2, 0, -1, -1)));
}

TEST_CASE("matrices without users or items give empty models") {
  CHECK(fg::ease(Sparse(0, 3), 1) == Dense::Zero(3, 3));
  CHECK(fg::ease(Sparse(3, 0), 1).size() == 0);
  CHECK(fg::slim(Sparse(0, 3)).nonZeros() == 0);
  CHECK(fg::slim(Sparse(3, 0)).cols() == 0);
  CHECK(fg::recommendations(Sparse(0, 3), Dense(Dense::Zero(3, 3)), 2).columns.rows() == 0);
  CHECK(fg::recommendations(Sparse(3, 0), Dense(0, 0), 2).columns.cols() == 0);
  // Of items without interactions, the lowest come first.
  CHECK(fg::recommendations(Sparse(1, 3), Dense(Dense::Zero(3, 3)), 2).columns == (Eigen::Matrix<Index, 1, 2>(0, 1)));
}

TEST_CASE("uncompressed matrices are read; unsorted and repeated indices are rejected") {
  Sparse x(3, 4);
  x.reserve(Eigen::VectorXi::Constant(3, 4));
  x.insert(0, 1) = 1;
  x.insert(1, 1) = 2;
  x.insert(1, 2) = 3;
  x.insert(2, 0) = 4;
  REQUIRE_FALSE(x.isCompressed());
  Sparse compressed = x;
  compressed.makeCompressed();
  CHECK(fg::ease(x, 2) == fg::ease(compressed, 2));
  CHECK(Dense(fg::slim(x)) == Dense(fg::slim(compressed)));
  const Dense b = fg::ease(x, 2);
  CHECK(fg::recommendations(x, b, 2).columns == fg::recommendations(compressed, b, 2).columns);
  CHECK(fg::ease(x.middleRows(1, 2), 2) == fg::ease(Sparse(compressed.middleRows(1, 2)), 2));

  const std::vector<int> outer = {0, 2}, repeated = {1, 1}, unsorted = {2, 1}, outside = {1, 3};
  const std::vector<double> values = {1, 2};
  const auto map = [&](const std::vector<int>& inner) {
    return Eigen::Map<const Sparse>(1, 3, 2, outer.data(), inner.data(), values.data());
  };
  const char* const message =
      ": the inner indices must ascend in each row (or column); those of row 0 do not. Transposing the matrix twice "
      "sorts them";
  CHECK_THROWS_WITH(fg::ease(map(repeated), 1), std::string("filigree: ease(X, lambda)") + message);
  CHECK_THROWS_WITH(fg::slim(map(unsorted)), std::string("filigree: slim(X)") + message);
  CHECK_THROWS_AS(fg::recommendations(map(outside), Dense(Dense::Zero(3, 3)), 1), fg::Error);
}

TEST_CASE("invalid arguments of item models are rejected") {
  Sparse x(2, 3);
  x.insert(0, 1) = 1;
  x.insert(1, 2) = 1;
  CHECK_THROWS_WITH(fg::ease(x, 0), "filigree: ease(X, lambda): lambda must be above 0 and finite, got 0");
  CHECK_THROWS_WITH(fg::ease(x, std::nan("")), "filigree: ease(X, lambda): lambda must be above 0 and finite, got nan");
  CHECK_THROWS_AS(fg::ease(x, std::numeric_limits<double>::infinity()), fg::Error);
  CHECK_THROWS_WITH(fg::slim(x, {.l1 = -1}), "filigree: slim(X, {.l1}): must be at least 0 and finite, got -1");
  CHECK_THROWS_WITH(fg::slim(x, {.l2 = std::nan("")}),
                    "filigree: slim(X, {.l2}): must be at least 0 and finite, got nan");
  CHECK_THROWS_WITH(fg::slim(x, {.tolerance = 0}),
                    "filigree: slim(X, {.tolerance}): must be above 0 and finite, got 0");
  CHECK_THROWS_WITH(fg::slim(x, {.sweeps = 0}), "filigree: slim(X, {.sweeps}): must be at least 1, got 0");
  const Dense b = Dense::Zero(3, 3);
  CHECK_THROWS_WITH(fg::recommendations(x, b, 0), "filigree: recommendations(X, B, k): k must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::recommendations(x, Dense(Dense::Zero(2, 3)), 1),
                    "filigree: recommendations(X, B, k): B must be 3 x 3, with a row and a column for each item of X, "
                    "is 2 x 3");
  CHECK_THROWS_WITH(fg::recommendations(x, Dense(Dense::Constant(3, 3, std::nan(""))), 1),
                    "filigree: recommendations(X, B, k): B must be finite");
  CHECK_THROWS_WITH(
      fg::best_unseen(Dense(Dense::Zero(2, 2)), x, 1),
      "filigree: best_unseen(scores, seen, k): the scores must have the shape of `seen`, 2 x 3, are 2 x 2");
  CHECK_THROWS_AS(fg::best_unseen(Dense(Dense::Zero(2, 3)), x, 0), fg::Error);
  x.coeffRef(1, 2) = std::nan("");
  CHECK_THROWS_WITH(fg::ease(x, 1), "filigree: ease(X, lambda): X(1, 2) must be finite, got nan");
  CHECK_THROWS_WITH(fg::slim(x), "filigree: slim(X): X(1, 2) must be finite, got nan");
  CHECK_THROWS_AS(fg::recommendations(x, b, 1), fg::Error);
  x.coeffRef(1, 2) = 1e200;
  CHECK_THROWS_WITH(fg::ease(x, 1),
                    "filigree: ease(X, lambda): the products of X' X must be finite; the entries of X are too large");
  // Equal columns whose squares are so large that lambda is rounded away.
  Sparse equal(1, 2);
  equal.insert(0, 0) = 1e10;
  equal.insert(0, 1) = 1e10;
  CHECK_THROWS_WITH(fg::ease(equal, 1e-3), Catch::Contains("is not positive definite; 0.001 is too small"));
}
