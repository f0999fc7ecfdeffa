// SPDX-License-Identifier: MIT
#include <cmath>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
constexpr S none = -std::numeric_limits<S>::infinity();

template <class S>
bool close(const fg::Attended<S>& a, const fg::Attended<S>& b, S bound) {
  for (Index i = 0; i < a.lse.size(); ++i) {
    if ((a.lse[i] == none<S>) != (b.lse[i] == none<S>)) return false;
    if (a.lse[i] == none<S>) {
      if (!test::same(a.out.row(i), b.out.row(i))) return false;
      continue;
    }
    if (!(std::abs(a.lse[i] - b.lse[i]) <= bound * (1 + std::abs(a.lse[i])))) return false;
    if (!((a.out.row(i) - b.out.row(i)).cwiseAbs().maxCoeff() <= bound)) return false;
  }
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("attend returns the bits of A * V and the logsumexp of the scores", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(331);
  const Matrix<S> q = test::normal<S>(random, 33, 7), k = test::normal<S>(random, 90, 7),
                  v = test::normal<S>(random, 90, 5);
  const auto check = [&](const auto& scores, const auto& tail, double sink) {
    const auto a = scores | tail;
    const auto [out, lse] = fg::attend(a, v);
    CHECK(test::same(out, Matrix<S>(a * v)));
    const Eigen::SparseMatrix<S, Eigen::RowMajor> raw = scores;
    for (Index i = 0; i < 33; ++i) {
      long double sum = std::exp(static_cast<long double>(sink));
      for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator e(raw, i); e; ++e)
        sum += std::exp(static_cast<long double>(e.value()));
      CHECK(std::abs(lse[i] - std::log(sum)) <=
            100 * std::numeric_limits<S>::epsilon() * (1 + std::abs(std::log(sum))));
    }
  };
  constexpr double no_sink = -std::numeric_limits<double>::infinity();
  check(fg::scores(q, k) | fg::causal() | fg::top_k(7), fg::softmax(), no_sink);
  check(fg::scores(q, k) | fg::threshold(-0.5), fg::softmax(), no_sink);
  check(fg::scores(q, k) | fg::window(20), fg::softmax({.sink = 0.5}), 0.5);
  check(fg::scores(q, k) | fg::softcap(2) | fg::top_k(40), fg::softmax({.sink = -3}), -3);
  // Dropout changes the output but not the logsumexp.
  const auto dropped = fg::attend(fg::scores(q, k) | fg::top_k(7) | fg::softmax() | fg::dropout(0.5, 3), v);
  const auto whole = fg::attend(fg::scores(q, k) | fg::top_k(7) | fg::softmax(), v);
  CHECK(test::same(dropped.lse, whole.lse));
  CHECK(!test::same(dropped.out, whole.out));
}

TEMPLATE_TEST_CASE("attend supports middleRows, executors and workspaces", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(332);
  fg::thread_pool pool(3);
  fg::Workspace workspace;
  const Matrix<S> q = test::normal<S>(random, 50, 7), k = test::normal<S>(random, 90, 7),
                  v = test::normal<S>(random, 90, 5);
  const auto a = fg::scores(q, k) | fg::causal() | fg::top_k(7) | fg::softmax();
  const auto whole = fg::attend(a, v);
  const auto part = fg::attend(a.on(pool).with(workspace).middleRows(13, 20), v);
  CHECK(test::same(part.out, Matrix<S>(whole.out.middleRows(13, 20))));
  CHECK(test::same(part.lse, Matrix<S>(whole.lse.segment(13, 20))));
}

TEMPLATE_TEST_CASE("merging parts over disjoint keys gives attention over all keys", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(333);
  const S bound = 64 * std::numeric_limits<S>::epsilon() * 8;
  for (int number = 0; number < 60; ++number) {
    const Index n = random.between(1, 40), m = random.between(3, 150), d = random.between(1, 9);
    const Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, m, d),
                    v = test::normal<S>(random, m, 4);
    const Index a = random.between(0, m), b = random.between(a, m), at = random.between(-10, 10);
    const auto check = [&](const auto& pipeline) {
      const Index query_at = at + m - n;
      const auto part = [&](Index first, Index last) {
        return fg::attend(
            fg::scores(q, k.middleRows(first, last - first), {.query_at = query_at, .key_at = at + first}) | pipeline,
            v.middleRows(first, last - first));
      };
      const auto whole = fg::attend(fg::scores(q, k, {.key_at = at}) | pipeline, v);
      const auto x = part(0, a), y = part(a, b), z = part(b, m);
      INFO("case " << number << ", n " << n << ", m " << m << ", cut at " << a << " and " << b);
      REQUIRE(close(fg::merge(x, y, z), whole, bound));
      REQUIRE(close(fg::merge(x, fg::merge(y, z)), whole, bound));
      REQUIRE(close(fg::merge(fg::merge(x, y), z), fg::merge(x, fg::merge(y, z)), bound));
      REQUIRE(close(fg::merge(z, x, y), whole, bound));
    };
    check(fg::softmax());
    check(fg::causal() | fg::softmax());
    check((fg::causal() && fg::window(9)) | fg::alibi(0.125) | fg::softmax());
    check(fg::threshold(0.3) | fg::softmax());
  }
}

TEMPLATE_TEST_CASE("merge ignores a part without entries and accepts a sink in one part", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(334);
  const Matrix<S> q = test::normal<S>(random, 6, 3), k = test::normal<S>(random, 20, 3),
                  v = test::normal<S>(random, 20, 2);
  const auto whole = fg::attend(fg::scores(q, k) | fg::softmax(), v);
  const auto nothing = fg::attend(fg::scores(q, k) | fg::threshold(1e30) | fg::softmax(), v);
  for (const auto& merged :
       {fg::merge(whole, nothing), fg::merge(nothing, whole), fg::merge(nothing, whole, nothing), fg::merge(whole)}) {
    CHECK(test::same(merged.out, whole.out));
    CHECK(test::same(merged.lse, whole.lse));
  }
  const auto still_nothing = fg::merge(nothing, nothing);
  CHECK((still_nothing.lse.array() == none<S>).all());
  CHECK(test::same(still_nothing.out, Matrix<S>(Matrix<S>::Zero(6, 2))));

  const auto sunk = fg::attend(fg::scores(q, k) | fg::softmax({.sink = 1}), v);
  const auto left = fg::attend(fg::scores(q, k.topRows(8)) | fg::softmax({.sink = 1}), v.topRows(8));
  const auto right = fg::attend(fg::scores(q, k.bottomRows(12), {.key_at = 8}) | fg::softmax(), v.bottomRows(12));
  CHECK(close(fg::merge(left, right), sunk, 64 * std::numeric_limits<S>::epsilon()));
}

TEMPLATE_TEST_CASE("merge is exact when the part with the sink has an empty row", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Matrix<S> q = Matrix<S>::Ones(2, 1), k = Matrix<S>::Zero(2, 1), v = Matrix<S>::Ones(2, 1);
  const auto part = [&](Index key, double sink) {
    return fg::attend(
        fg::scores(q, k.row(key), {.query_at = 0, .key_at = key}) | fg::causal() | fg::softmax({.sink = sink}),
        v.row(key));
  };
  constexpr double no_sink = -std::numeric_limits<double>::infinity();
  const auto whole = fg::attend(fg::scores(q, k) | fg::causal() | fg::softmax({.sink = 0}), v);
  CHECK(whole.out(0, 0) == S(0.5));
  CHECK(whole.lse[0] == Approx(std::log(2.0)));
  CHECK(close(fg::merge(part(0, no_sink), part(1, 0)), whole, 8 * std::numeric_limits<S>::epsilon()));
  CHECK(close(fg::merge(part(1, 0), part(0, no_sink)), whole, 8 * std::numeric_limits<S>::epsilon()));
  CHECK(close(fg::merge(part(0, 0), part(1, no_sink)), whole, 8 * std::numeric_limits<S>::epsilon()));
}

TEMPLATE_TEST_CASE("merge handles scores that overflow exp and propagates NaN", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Matrix<S> q(1, 1), k(2, 1), v(2, 1);
  q << S(1);
  k << S(3000), S(2999);
  v << 1, 2;
  const auto part = [&](Index j) { return fg::attend(fg::scores(q, k.row(j), 1) | fg::softmax(), v.row(j)); };
  const auto whole = fg::attend(fg::scores(q, k, 1) | fg::softmax(), v), merged = fg::merge(part(0), part(1));
  CHECK(close(merged, whole, 16 * std::numeric_limits<S>::epsilon()));
  k(1, 0) = std::numeric_limits<S>::quiet_NaN();
  CHECK(std::isnan(fg::merge(part(0), part(1)).out(0, 0)));
  CHECK(std::isnan(fg::merge(part(1), part(0)).lse(0)));
}
