// SPDX-License-Identifier: MIT
// Orders of keys that are hard for a running bound. The engine keeps the same entries as the general evaluator.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
Matrix<S> keys(const std::string& order, Index m, Random& random) {
  Matrix<S> k(m, 1);
  for (Index j = 0; j < m; ++j) {
    if (order == "rising") k(j, 0) = static_cast<S>(j);
    if (order == "falling") k(j, 0) = static_cast<S>(m - j);
    if (order == "constant") k(j, 0) = S(1.5);
    if (order == "zero") k(j, 0) = S(0);
    if (order == "signed zeros") k(j, 0) = j % 2 == 0 ? S(0) : S(-0.0);
    if (order == "two values") k(j, 0) = static_cast<S>(j / 3 % 2);
    if (order == "near ties") k(j, 0) = 1 + static_cast<S>(j % 5) * std::numeric_limits<S>::epsilon();
    if (order == "one late winner") k(j, 0) = j + 1 == m ? S(2) : S(1);
    if (order == "sawtooth") k(j, 0) = static_cast<S>(j % 67);
    if (order == "exponential") k(j, 0) = std::exp2(static_cast<S>(j % 200) - 100);
    if (order == "huge range") k(j, 0) = static_cast<S>(random.normal() * std::pow(10.0, random.uniform(-36, 36)));
    if (order == "denormals") k(j, 0) = static_cast<S>(j % 7 - 3) * std::numeric_limits<S>::denorm_min();
    if (order == "infinite")
      k(j, 0) = random.pick({std::numeric_limits<S>::infinity(), -std::numeric_limits<S>::infinity(), S(1)});
    if (order == "some NaN") k(j, 0) = j % 11 == 10 ? std::numeric_limits<S>::quiet_NaN() : static_cast<S>(j);
    if (order == "all NaN") k(j, 0) = std::numeric_limits<S>::quiet_NaN();
  }
  return k;
}

}  // namespace

TEMPLATE_TEST_CASE("top_k and threshold keep the right entries for hard orders of keys", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(501);
  for (const char* order :
       {"rising", "falling", "constant", "zero", "signed zeros", "two values", "near ties", "one late winner",
        "sawtooth", "exponential", "huge range", "denormals", "infinite", "some NaN", "all NaN"})
    for (const Index m : {1, 64, 65, 1000, 3001}) {
      const Matrix<S> k = keys<S>(order, m, random), v = test::normal<S>(random, m, 3);
      Matrix<S> q(9, 1);
      for (Index i = 0; i < 9; ++i) q(i, 0) = i == 8 ? S(-1) : static_cast<S>(i) / 2;
      for (const Index count : {Index(1), Index(2), Index(7), Index(33), m / 2, m - 1, m, m + 5}) {
        if (count < 1) continue;
        INFO(order << ", m " << m << ", k " << count);
        const auto a = fg::scores(q, k, 1) | fg::top_k(count);
        const Eigen::SparseMatrix<S, Eigen::RowMajor> w = a, general = test::general_sparse(a);
        REQUIRE(test::same_sparse(w, general));
        const auto c = fg::scores(q, k, 1) | fg::causal() | fg::top_k(count) | fg::softmax();
        REQUIRE(test::same(Matrix<S>(c * v), test::general_product(c, v)));
      }
      // All, some or no keys pass. Lists outgrow their initial capacity.
      for (const double t : {-1e300, -1.0, 0.0, 1.0, 500.0, 1e300}) {
        INFO(order << ", m " << m << ", threshold " << t);
        const auto a = fg::scores(q, k, 1) | fg::threshold(t) | fg::softmax();
        const Eigen::SparseMatrix<S, Eigen::RowMajor> w = a, general = test::general_sparse(a);
        REQUIRE(test::same_sparse(w, general));
      }
    }
}

// The rows attend to different numbers of keys, so lists of different lengths are reduced together.
TEMPLATE_TEST_CASE("top_k is right when candidate lists have different lengths", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(506);
  const Matrix<S> q = test::normal<S>(random, 100, 4), k = test::normal<S>(random, 1500, 4);
  for (Index count = 1; count <= 80; ++count) {
    INFO("k " << count);
    const auto a = fg::scores(q, k, {.query_at = 0}) | !fg::window(400) | fg::top_k(count);
    const Eigen::SparseMatrix<S, Eigen::RowMajor> w = a;
    REQUIRE(test::same_sparse(w, test::general_sparse(a)));
  }
}

// The engine guesses a bound from the first keys. Here the first 400 keys have larger scores than the others, for all
// queries, every second query or few queries. Some groups are then computed again, and later blocks may stop guessing.
TEMPLATE_TEST_CASE("top_k is right when later keys have smaller scores than the first", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(505);
  for (const Index m : {900, 4001})
    for (const Index every : {1, 2, 50, 100000}) {
      Matrix<S> k = test::normal<S>(random, m, 3), q = test::normal<S>(random, 400, 3);
      const Matrix<S> v = test::normal<S>(random, m, 2);
      for (Index j = 0; j < m; ++j) k(j, 1) = j < 400 ? S(20) * std::abs(k(j, 1)) : S(0);
      k.col(2).setZero();
      if (m == 900) k(m - 5, 2) = std::numeric_limits<S>::quiet_NaN();
      for (Index i = 0; i < q.rows(); ++i) q(i, 1) = i % every == every - 1 ? S(1) : S(0);
      for (const Index count : {3, 20, 90}) {
        INFO("m " << m << ", every " << every << ", k " << count);
        const auto a = fg::scores(q, k, 1) | fg::top_k(count);
        const Eigen::SparseMatrix<S, Eigen::RowMajor> w = a;
        REQUIRE(test::same_sparse(w, test::general_sparse(a)));
        const auto c = fg::scores(q, k, 1) | (fg::causal() || fg::first(500)) | fg::top_k(count) | fg::softmax();
        REQUIRE(test::same(Matrix<S>(c * v), test::general_product(c, v)));
      }
    }
}

// The kept entries do not depend on whether the engine guesses a bound, or on when it detects a wrong guess.
TEMPLATE_TEST_CASE("top_k is right with outliers among the first keys", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(507);
  for (const std::string keys : {"own", "large", "infinite", "bounded", "larger eighth"})
    for (const Index m : {700, 6000})
      for (const Index n : {1, 5, 16, 120}) {
        Matrix<S> k = test::normal<S>(random, m, 6), q = test::normal<S>(random, n, 6);
        const Matrix<S> v = test::normal<S>(random, m, 2);
        if (keys == "own") q = k.topRows(n);
        if (keys == "large") k.middleRows(n, 3) *= S(1e4);
        if (keys == "infinite") k(n, 2) = std::numeric_limits<S>::infinity();
        if (keys == "bounded") k = k.unaryExpr([](S x) { return x > 0 ? S(1) : S(-1); }).eval();
        if (keys == "larger eighth") k.topRows(m / 8) *= S(2);
        for (const Index count : {3, 10, 40}) {
          INFO(keys << ", n " << n << ", m " << m << ", k " << count);
          const auto a = fg::scores(q, k) | fg::top_k(count);
          const Eigen::SparseMatrix<S, Eigen::RowMajor> w = a;
          REQUIRE(test::same_sparse(w, test::general_sparse(a)));
          const auto c = fg::scores(q, k) | fg::causal() | fg::top_k(count) | fg::softmax();
          REQUIRE(test::same(Matrix<S>(c * v), test::general_product(c, v)));
        }
      }
}

TEMPLATE_TEST_CASE("top_k agrees with a stable sort for every k", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(502);
  const Index m = 200;
  const Matrix<S> q = test::numbers<S>(random, 7, 3, test::Kind::integers),
                  k = test::numbers<S>(random, m, 3, test::Kind::integers);
  for (Index count = 1; count <= m; ++count) {
    const Eigen::SparseMatrix<S, Eigen::RowMajor> w = fg::scores(q, k, 1) | fg::top_k(count);
    for (Index i = 0; i < 7; ++i) {
      std::vector<Index> order(static_cast<std::size_t>(m));
      for (std::size_t j = 0; j < order.size(); ++j) order[j] = static_cast<Index>(j);
      std::stable_sort(order.begin(), order.end(),
                       [&](Index a, Index b) { return q.row(i).dot(k.row(a)) > q.row(i).dot(k.row(b)); });
      order.resize(static_cast<std::size_t>(count));
      std::sort(order.begin(), order.end());
      std::vector<Index> got;
      for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator e(w, i); e; ++e) got.push_back(e.col());
      REQUIRE(got == order);
    }
  }
}

TEMPLATE_TEST_CASE("top_k and threshold work with more than 65536 keys", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(503);
  const Index m = 70001;
  const Matrix<S> q = test::normal<S>(random, 3, 4), k = test::normal<S>(random, m, 4),
                  v = test::normal<S>(random, m, 2);
  const auto a = fg::scores(q, k) | fg::top_k(50) | fg::softmax();
  CHECK(test::same(Matrix<S>(a * v), test::general_product(a, v)));
  const auto kept = fg::selected(fg::scores(q, k, 1) | fg::top_k(3));
  for (Index i = 0; i < 3; ++i) {
    Index best = 0;
    for (Index j = 1; j < m; ++j)
      if (k.row(j).dot(q.row(i)) > k.row(best).dot(q.row(i))) best = j;
    CHECK(kept.columns(i, 0) == best);
  }
  const auto c = fg::scores(q, k) | (fg::causal() && fg::window(1000)) | fg::threshold(1) | fg::softmax();
  CHECK(test::same(Matrix<S>(c * v), test::general_product(c, v)));
}

TEMPLATE_TEST_CASE("windows and causal masks work at positions far from the first key", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(504);
  const Matrix<S> q = test::normal<S>(random, 130, 4), k = test::normal<S>(random, 3000, 4),
                  v = test::normal<S>(random, 3000, 2);
  for (const Index at : {Index(-50), Index(0), Index(1000), Index(2870), Index(2995), Index(5000)}) {
    const auto scores = fg::scores(q, k, {.query_at = at});
    const auto narrow = scores | (fg::causal() && fg::window(100)) | fg::top_k(9) | fg::softmax();
    CHECK(test::same(Matrix<S>(narrow * v), test::general_product(narrow, v)));
    const auto sinks =
        scores | (fg::causal() && (fg::first(3) || fg::window(40, 0))) | fg::threshold(0) | fg::softmax();
    CHECK(test::same(Matrix<S>(sinks * v), test::general_product(sinks, v)));
    const auto outside = scores | !fg::window(1000) | fg::top_k(9) | fg::softmax();
    CHECK(test::same(Matrix<S>(outside * v), test::general_product(outside, v)));
  }
}
