// SPDX-License-Identifier: MIT
// The online softmax engine: many chunks of keys, masked non-finite values, and logsumexp.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "distance.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::distance;
using test::Index;
using test::Matrix;
using test::Random;
using test::tolerance;

// Keys are processed in chunks of 512, which are the same for a row alone and in a block that attends to more chunks.
TEMPLATE_TEST_CASE("attention over many chunks of keys is right and the same to the bit for a row alone", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(521);
  const Index n = 150, m = 9001;
  const Matrix<S> q = test::normal<S>(random, n, 12), k = test::normal<S>(random, m, 12),
                  v = test::normal<S>(random, m, 20);
  const auto agrees = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k) | pipeline;
    const Matrix<S> out = a * v;
    CHECK(distance<S>(out, test::general_product(a, v)) < tolerance<S>);
    for (const Index i : {0, 1, 5, 6, 77, 149}) {
      const auto alone = fg::scores(q.row(i), k, {.query_at = m - n + i}) | pipeline;
      CHECK(test::same(Matrix<S>(alone * v), Matrix<S>(out.row(i))));
    }
    fg::thread_pool pool(3);
    CHECK(test::same(Matrix<S>(a.on(pool) * v), out));
    const auto attended = fg::attend(a, v);
    CHECK(test::same(attended.out, out));
    for (const Index i : {0, 149}) {
      const auto alone = fg::attend(fg::scores(q.row(i), k, {.query_at = m - n + i}) | pipeline, v);
      CHECK(alone.lse[0] == attended.lse[i]);
    }
  };
  agrees(fg::softmax());
  agrees(fg::causal() | fg::softmax({.sink = 2}));
  agrees(fg::streaming(3, 500) | fg::softmax());
  agrees((fg::window(50) || fg::global({2, 4500})) | fg::alibi(0.001) | fg::softmax());
  agrees(fg::random(40, 3) | fg::softmax());
  agrees(fg::sparse_transformer_strided(7) | fg::softmax());
  agrees((fg::strided(1500) || fg::global({3, 700})) | fg::softmax({.sink = 1}));
  agrees(fg::dilated_window(900, 3) | fg::alibi(0.001) | fg::softmax());
  agrees(fg::softmax({.sink = 1}) | fg::dropout(0.3, 9));
}

TEMPLATE_TEST_CASE("merging attention over two sets of keys gives attention and logsumexp over all keys", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(522);
  const Matrix<S> q = test::normal<S>(random, 30, 8), k = test::normal<S>(random, 5000, 8),
                  v = test::normal<S>(random, 5000, 6);
  const auto whole = fg::attend(fg::scores(q, k, 1.0) | fg::softmax(), v);
  const auto first = fg::attend(fg::scores(q, k.topRows(1777), 1.0) | fg::softmax(), v.topRows(1777));
  const auto second = fg::attend(fg::scores(q, k.bottomRows(3223), 1.0) | fg::softmax(), v.bottomRows(3223));
  const auto merged = fg::merge(first, second);
  CHECK(distance<S>(merged.out, whole.out) < 10 * tolerance<S>);
  for (Index i = 0; i < 30; ++i) {
    Eigen::VectorXd s = (k.template cast<double>() * q.row(i).transpose().template cast<double>());
    const double expected = s.maxCoeff() + std::log((s.array() - s.maxCoeff()).exp().sum());
    CHECK(std::abs(static_cast<double>(whole.lse[i]) - expected) < 20 * tolerance<S> * std::abs(expected));
    CHECK(std::abs(static_cast<double>(merged.lse[i]) - expected) < 20 * tolerance<S> * std::abs(expected));
  }
}

// Only some queries of a group attend to a non-finite row of V.
TEMPLATE_TEST_CASE("masked non-finite keys and values do not change the result", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(523);
  for (const Index m : {70, 300})
    for (const S poison : {std::numeric_limits<S>::quiet_NaN(), std::numeric_limits<S>::infinity(),
                           -std::numeric_limits<S>::infinity()}) {
      const Matrix<S> q = test::normal<S>(random, m, 6), k = test::normal<S>(random, m, 6),
                      v = test::normal<S>(random, m, 21);
      const auto check = [&](const auto& pipeline, const auto& is_visible) {
        const Matrix<S> clean = (fg::scores(q, k) | pipeline) * v;
        for (const Index j : {Index(3), Index(40), Index(64), m - 1}) {
          Matrix<S> k2 = k, v2 = v;
          k2.row(j).setConstant(poison);
          v2.row(j).setConstant(poison);
          const Matrix<S> bad_v = (fg::scores(q, k) | pipeline) * v2, bad_k = (fg::scores(q, k2) | pipeline) * v;
          for (Index i = 0; i < m; ++i) {
            INFO("m " << m << ", row " << i << ", key " << j);
            if (is_visible(i, j)) {
              REQUIRE(!(bad_v.row(i).array().isFinite().any()));
              // A score of -inf is absent; a score of NaN makes the row NaN.
              if (poison != poison) REQUIRE(bad_k.row(i).array().isNaN().all());
            } else {
              REQUIRE(test::same(Matrix<S>(bad_v.row(i)), Matrix<S>(clean.row(i))));
              REQUIRE(test::same(Matrix<S>(bad_k.row(i)), Matrix<S>(clean.row(i))));
            }
          }
        }
      };
      check(fg::causal() | fg::softmax(), [](Index i, Index j) { return j <= i; });
      check(fg::window(9) | fg::softcap(5) | fg::softmax(), [](Index i, Index j) { return std::abs(i - j) <= 9; });
      check((fg::strided(7) || fg::first(2)) | fg::softmax({.sink = 0}),
            [](Index i, Index j) { return (i - j) % 7 == 0 || j < 2; });
      check(fg::map([](S s, Index p, Index j) { return (p + j) % 3 == 0 ? -std::numeric_limits<S>::infinity() : s; }) |
                fg::softmax(),
            [](Index i, Index j) { return (i + j) % 3 != 0; });
    }
}

TEMPLATE_TEST_CASE("rows without keys are zero, with the logsumexp of the sink", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(524);
  const Matrix<S> q = test::normal<S>(random, 20, 5), k = test::normal<S>(random, 10, 5),
                  v = test::normal<S>(random, 10, 3);
  for (const double sink : {-std::numeric_limits<double>::infinity(), 1.0}) {
    const auto part = fg::attend(fg::scores(q, k) | fg::causal() | fg::softmax({.sink = sink}), v);
    for (Index i = 0; i < 10; ++i) {
      CHECK(test::same(Matrix<S>(part.out.row(i)), Matrix<S>(Matrix<S>::Zero(1, 3))));
      CHECK(part.lse[i] == static_cast<S>(sink));
    }
    CHECK(part.lse.tail(10).array().isFinite().all());
  }
  const Matrix<S> no_keys = (fg::scores(q, k.topRows(0)) | fg::softmax()) * v.topRows(0);
  CHECK(test::same(no_keys, Matrix<S>(Matrix<S>::Zero(20, 3))));
  const Matrix<S> no_queries = (fg::scores(q.topRows(0), k) | fg::softmax()) * v;
  CHECK(no_queries.rows() == 0);
  const Matrix<S> no_values = (fg::scores(q, k) | fg::softmax()) * v.leftCols(0);
  CHECK((no_values.rows() == 20 && no_values.cols() == 0));
}

TEMPLATE_TEST_CASE("large scores do not overflow, and vanishing weights are zero", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Matrix<S> q(1, 1), k(200, 1), v(200, 1);
  q << S(1);
  for (Index j = 0; j < 200; ++j) {
    k(j, 0) = static_cast<S>(j < 100 ? -1e30 : static_cast<double>(j) * 1e4);
    v(j, 0) = static_cast<S>(j);
  }
  const Matrix<S> out = (fg::scores(q, k, 1.0) | fg::softmax()) * v;  // the last key has all the weight
  CHECK(out(0, 0) == S(199));
  k.setConstant(static_cast<S>(-1e30));
  const Matrix<S> mean = (fg::scores(q, k, 1.0) | fg::softmax()) * v;
  CHECK(mean(0, 0) == Approx(99.5));
}
