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
#include "general.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
double distance(const Matrix<S>& a, const Matrix<S>& b) {
  return a.size() == 0 ? 0 : static_cast<double>((a - b).cwiseAbs().maxCoeff());
}

template <class S>
constexpr double tolerance = sizeof(S) == 4 ? 2e-6 : 4e-15;

}  // namespace

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
