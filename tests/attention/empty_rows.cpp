// SPDX-License-Identifier: MIT
// Rows without present entries.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class M>
bool positive_zero(const M& x) {
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < x.cols(); ++j)
      if (x(i, j) != 0 || std::signbit(x(i, j))) return false;
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("a row without entries gives +0 for every normalizer", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(311);
  const Matrix<S> q = test::normal<S>(random, 9, 5), k = test::normal<S>(random, 70, 5);
  Matrix<S> v = -test::normal<S>(random, 70, 3).cwiseAbs();
  v(3, 1) = std::numeric_limits<S>::quiet_NaN();
  const auto check = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k, {.query_at = -4}) | fg::causal() | pipeline;  // rows 0 to 3 are before all keys
    const Matrix<S> out = a * v, weights = a;
    CHECK(positive_zero(out.topRows(4)));
    CHECK(positive_zero(weights.topRows(4)));
    const Eigen::SparseMatrix<S, Eigen::RowMajor> sparse = a;
    for (Index i = 0; i < 4; ++i) CHECK(sparse.innerVector(i).nonZeros() == 0);
    Matrix<S> sum = Matrix<S>::Constant(9, 3, S(2));
    sum += a * v;
    CHECK((sum.topRows(4).array() == S(2)).all());
    const auto kept = fg::selected(a);
    CHECK((kept.columns.topRows(4).array() == -1).all());
    CHECK(positive_zero(kept.weights.topRows(4)));
  };
  check(fg::top_k(3) | fg::softmax());
  check(fg::top_k(3) | fg::softmax({.sink = 3}));
  check(fg::top_k(3) | fg::sparsemax());
  check(fg::top_k(3) | fg::entmax15());
  check(fg::top_k(3) | fg::normalize_sum());
  check(fg::top_k(3));
  check(fg::threshold(-1e30) | fg::softmax());
  check(fg::softmax());
  check(fg::top_p(0.5) | fg::softmax() | fg::dropout(0.5, 1));
  check(fg::drop_lowest(1) | fg::softmax());
}

TEST_CASE("the logsumexp of an empty row is the sink in every engine") {
  using S = float;
  Random random(313);
  const Matrix<S> q = test::normal<S>(random, 40, 5), k = test::normal<S>(random, 300, 5),
                  v = test::normal<S>(random, 300, 3);
  fg::thread_pool pool(2);
  const auto check = [&](const auto& after) {
    for (const double sink : {0.0, -2.5, 700.0, -std::numeric_limits<double>::infinity()}) {
      const auto softmax = fg::softmax({.sink = sink});
      const auto check_lse = [&](const auto& a, Index empty) {
        const auto [out, lse] = fg::attend(a, v);
        for (Index i = 0; i < out.rows(); ++i) {
          if (i < empty) CHECK((positive_zero(out.row(i)) && lse[i] == static_cast<S>(sink)));
          if (i >= empty) CHECK(lse[i] >= static_cast<S>(sink));
        }
      };
      // Rows 0 to 30 are before all keys, without and with threads. Then a single empty row, and only empty rows.
      check_lse(fg::scores(q, k, {.query_at = -31}) | after(fg::causal()) | softmax, 31);
      check_lse((fg::scores(q, k, {.query_at = -31}) | after(fg::causal()) | softmax).on(pool), 31);
      check_lse(fg::scores(q.row(0), k, {.query_at = -1}) | after(fg::causal()) | softmax, 1);
      check_lse(fg::scores(q, k) | after(fg::where([](Index, Index) { return false; })) | softmax, 40);
      const auto none = fg::attend(fg::scores(q, k.topRows(0)) | after(fg::causal()) | softmax, v.topRows(0));
      CHECK((none.lse.array() == static_cast<S>(sink)).all());
    }
  };
  check([](auto mask) { return mask | fg::softcap(3); });
  check([](auto mask) { return mask | fg::top_k(3); });
  check([](auto mask) { return mask | fg::threshold(-1e30); });
  check([](auto mask) { return mask | fg::top_p(0.9); });
  check([](auto mask) { return mask && (fg::strided(3)); });
  check([](auto mask) { return mask && (fg::strided(100) || fg::first(1)); });
  check([](auto mask) { return mask && (fg::random(5, 3)); });
  check([](auto mask) { return mask | fg::block_top_k(16, 2); });

  const auto lazy = fg::attend(
      fg::scores(q, k, {.query_at = -31}) | fg::causal() | fg::prob_sparse(1, 3) | fg::softmax({.sink = 2}), v);
  CHECK((lazy.lse.head(31).array() == S(2)).all());
  CHECK(positive_zero(lazy.out.topRows(31)));
}

TEMPLATE_TEST_CASE("a selector may leave all rows empty", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(312);
  const Matrix<S> q = test::normal<S>(random, 4, 5), k = test::normal<S>(random, 70, 5),
                  v = test::normal<S>(random, 70, 3);
  CHECK(positive_zero(Matrix<S>((fg::scores(q, k) | fg::threshold(1e30) | fg::softmax()) * v)));
  CHECK(positive_zero(Matrix<S>((fg::scores(q, k) | fg::drop_lowest(1) | fg::sparsemax()) * v)));
  CHECK(
      positive_zero(Matrix<S>((fg::scores(q, k) | fg::where([](Index, Index) { return false; }) | fg::top_k(2)) * v)));
  CHECK(fg::selected(fg::scores(q, k) | fg::threshold(1e30)).columns.cols() == 0);
  const Matrix<S> zeros = Matrix<S>::Zero(70, 5);  // a sum of 0 leaves a row empty
  CHECK(Eigen::SparseMatrix<S>(fg::scores(q, zeros) | fg::top_k(3) | fg::normalize_sum()).nonZeros() == 0);
}
