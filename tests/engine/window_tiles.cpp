// SPDX-License-Identifier: MIT
// Tiles of the size of a window or of the blocks of a pattern.
#include <algorithm>
#include <cmath>
#include <filigree/attention/attention.hpp>
#include <filigree/core/thread_pool.hpp>
#include <filigree/normalize/normalize.hpp>
#include <filigree/pattern/pattern.hpp>
#include <limits>
#include <type_traits>

#include "catch.hpp"
#include "distance.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::distance;
using test::Index;
using test::Matrix;
using test::Random;
using test::tolerance;

// A block of queries is scored group by group if its keys are few, and panel by panel otherwise.
TEMPLATE_TEST_CASE("tiles of the size of a window give the bits of single rows", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(526);
  const Index n = 330, m = 1300;
  const Matrix<S> q = test::normal<S>(random, n, 9), v = test::normal<S>(random, m, 19);
  Matrix<S> k = test::normal<S>(random, m, 9);
  k(1100, 3) = std::numeric_limits<S>::quiet_NaN();
  k(1200, 2) = std::numeric_limits<S>::infinity();
  const auto check = [&](const auto& pattern, auto compares) {
    for (const Index query_at : {Index{0}, Index{450}, m - n, m - 30, Index{-20}}) {
      const auto a = fg::scores(q, k, {.query_at = query_at}) | pattern | fg::softmax();
      const Matrix<S> out = a * v;
      fg::thread_pool pool(2);
      CHECK(test::same(Matrix<S>(a.on(pool) * v), out));
      for (Index i = 0; i < n; ++i) REQUIRE(test::same(Matrix<S>(a.middleRows(i, 1) * v), Matrix<S>(out.row(i))));
      if constexpr (compares()) {
        const Matrix<S> packed = (fg::scores(q, fg::pack(k), {.query_at = query_at}) | pattern | fg::softmax()) * v;
        CHECK(test::same(packed, out));
        const Matrix<S> general = test::general_product(a, v);
        for (Index i = 0; i < n; ++i) {
          CHECK(std::isfinite(general(i, 0)) == std::isfinite(out(i, 0)));
          if (std::isfinite(general(i, 0))) CHECK(distance<S>(out.row(i), general.row(i)) < tolerance<S>);
        }
      }
    }
  };
  const std::true_type compares{};
  const std::false_type only_bits{};
  for (const auto& window : {fg::window(0), fg::window(4), fg::window(3, 70), fg::window(200)}) check(window, compares);
  check(fg::causal() && fg::window(20), only_bits);
  check(fg::window(5) || fg::first(2), only_bits);
  for (const Index b : {12, 16}) check(fg::bigbird(b, 2, 3), compares);
  if constexpr (sizeof(S) == 4) {
    check(fg::neighborhood(33), only_bits);
    check(fg::same_block(16), only_bits);
    check(fg::blocks(24, fg::random(2, 5) || fg::window(0)), only_bits);
  }
}

// Rows of a narrow window are computed together, one in each lane of a vector. A few rows alone are not.
TEMPLATE_TEST_CASE("narrow windows are right for all sizes and layouts, with the bits of single rows", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Columns = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
  Random random(527);
  const S inf = std::numeric_limits<S>::infinity(), nan = std::numeric_limits<S>::quiet_NaN();
  const Index m = 600;
  Index query_at = 490;  // keys of two chunks
  const auto check = [&](Index n, Index d, Index dv, const auto& window, double sink, bool poison) {
    INFO("n " << n << ", d " << d << ", dv " << dv << ", sink " << sink << ", poison " << poison);
    Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, m, d), v = test::normal<S>(random, m, dv);
    if (poison && n > 0 && d > 0 && dv > 0) {
      k.row(query_at + n / 2).setConstant(nan);
      k.row(query_at + n / 3).setConstant(inf);
      k.row(query_at + n + 1).setConstant(-inf);
      v.row(query_at + n - 1).setConstant(inf);
      v(query_at + n / 4, dv - 1) = nan;
      q(n - 1, 0) = inf;
    }
    const auto a = fg::scores(q, k, {.query_at = query_at}) | window | fg::softmax({.sink = sink});
    const auto attended = fg::attend(a, v);
    const Matrix<S> out = a * v;
    CHECK(test::same(attended.out, out));
    const Matrix<S> general = test::general_product(a, v);
    for (Index i = 0; i < n; ++i) {
      const auto alone =
          fg::attend(fg::scores(q.row(i), k, {.query_at = query_at + i}) | window | fg::softmax({.sink = sink}), v);
      REQUIRE(test::same(Matrix<S>(alone.out), Matrix<S>(out.row(i))));
      REQUIRE(
          (alone.lse[0] == attended.lse[i] || (alone.lse[0] != alone.lse[0] && attended.lse[i] != attended.lse[i])));
      for (Index f = 0; f < dv; ++f) {
        REQUIRE(std::isfinite(general(i, f)) == std::isfinite(out(i, f)));
        if (std::isfinite(general(i, f))) REQUIRE(std::abs(general(i, f) - out(i, f)) < tolerance<S>);
      }
    }
    // Other layouts of the operands and of the target.
    Matrix<S> wide = Matrix<S>::Constant(m, d + 3, nan);
    wide.middleCols(2, d) = k;
    const Columns q2 = q;
    Columns columns =
        (fg::scores(q, wide.middleCols(2, d), {.query_at = query_at}) | window | fg::softmax({.sink = sink})) * v;
    CHECK(test::same(Matrix<S>(columns), out));
    const Matrix<S> by_columns = (fg::scores(q2, k, {.query_at = query_at}) | window | fg::softmax({.sink = sink})) * v;
    CHECK(test::same(by_columns, out));
    Matrix<S> sum = Matrix<S>::Zero(n, dv);
    sum += a * v;
    CHECK(test::same(sum, out));
    if (n == 0) return;  // columns of a matrix without rows have no address
    Matrix<S> target = Matrix<S>::Constant(n, dv + 5, S(7));
    target.middleCols(3, dv) = a * v;
    CHECK(test::same(Matrix<S>(target.middleCols(3, dv)), out));
    CHECK((target.leftCols(3).array() == S(7)).all());
    CHECK((target.rightCols(2).array() == S(7)).all());
  };
  const double none = -std::numeric_limits<double>::infinity();
  for (const Index n : {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100}) {
    check(n, 5, 16, fg::window(4), none, false);
    check(n, 16, 7, fg::window(2, 0), 0.5, n % 2 == 0);
  }
  for (const Index d : {0, 1, 15, 16, 17, 64, 65})
    for (const Index dv : {1, 4, 17, 32, 64, 80}) check(40, d, dv, fg::window(d % 2 == 0 ? 0 : 3), none, dv == 17);
  for (const Index r : {1, 5, 11, 12, 16, 24, 40}) {
    check(97, 9, 20, fg::window(r), none, false);
    check(97, 9, 20, fg::window(r), -1, true);
  }
  check(60, 8, 16, fg::neighborhood(9), none, true);
  check(60, 8, 16, fg::same_block(16), 0.0, true);
  query_at = 570;  // the last rows attend to no key
  check(60, 8, 16, fg::window(4), none, false);
  check(60, 8, 16, fg::window(4), 1, false);
}
