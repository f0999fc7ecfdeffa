// SPDX-License-Identifier: MIT
// The active rows, the results of lazy rows, the fused pipelines, and the effect of NaN.
#include "routers.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
struct Inputs {
  Matrix<S> q, k, v;
  Inputs(std::uint64_t stream, Index n, Index m, Index d = 8, Index dv = 7) {
    Random random(stream);
    q = test::normal<S>(random, n, d);
    k = test::normal<S>(random, m, d);
    v = test::normal<S>(random, m, dv);
  }
};

using M = Matrix<float>;
template <class Stages>
inline constexpr bool fused =
    fg::is_fused<decltype(fg::scores(std::declval<const M&>(), std::declval<const M&>()) | std::declval<Stages>())>;
using Router = fg::ProbSparse;
using Chosen = fg::ActiveRows;

static_assert(fused<decltype(Router() | fg::softmax())>);
static_assert(fused<decltype(Router() | fg::softmax({.sink = 1}))>);
static_assert(fused<decltype(fg::causal() | Router() | fg::softmax())>);
static_assert(fused<decltype(Router() | fg::causal() | fg::softmax())>);
static_assert(fused<decltype(fg::causal() | Router() | fg::window(3) | fg::softmax())>);
static_assert(fused<decltype(Router() | fg::softmax() | fg::lazy_sum())>);
static_assert(fused<decltype(fg::causal() | Router() | fg::softmax() | fg::lazy_sum())>);
static_assert(fused<decltype(std::declval<Chosen>() | fg::softmax())>);
// All rows are computed if the scores of a lazy row do not stay equal, or if the weights are not multiplied by V next.
static_assert(!fused<decltype(Router() | fg::alibi(1) | fg::softmax())>);
static_assert(!fused<decltype(fg::softcap(1) | Router() | fg::softmax())>);
static_assert(!fused<decltype(Router() | fg::top_k(3) | fg::softmax())>);
static_assert(!fused<decltype(Router() | fg::sparsemax())>);
static_assert(!fused<decltype(Router() | fg::softmax() | fg::dropout(0.1, 1))>);
static_assert(!fused<decltype(Router() | Router() | fg::softmax())>);

template <class S>
bool all_nan(const S& row) {
  return (row.array() != row.array()).all();
}

}  // namespace

TEMPLATE_TEST_CASE("the sample, the measure M and the active rows agree with their definitions", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  for (const auto& [n, m, c] :
       {std::tuple<Index, Index, Index>{50, 70, 1}, {130, 200, 5}, {7, 1000, 2}, {1, 5, 3}, {64, 1, 4}, {300, 20, 1}}) {
    CAPTURE(n, m, c);
    const Inputs<S> x(401, n, m);
    const auto scores = fg::scores(x.q, x.k, {.scale = 3.0, .query_at = 11});
    const auto chosen = fg::route(scores | fg::causal() | fg::prob_sparse(c, 9) | fg::softmax());
    const Matrix<Index> sample = chosen.sample();
    REQUIRE(sample.rows() == n);
    REQUIRE(sample.cols() == std::min(m, std::max<Index>(1, c * test::ActiveOracle::whole_log(m))));
    for (const Index i : {Index(0), n / 2, n - 1}) {
      fg::Generator generator(9, static_cast<std::uint64_t>(11 + i));
      for (Index s = 0; s < sample.cols(); ++s) REQUIRE(sample(i, s) == generator.below(m));
    }
    const test::ActiveOracle expected(x.q, x.k, sample, c);
    Index active = 0;
    for (Index i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      REQUIRE(std::abs(static_cast<oracle::Real>(chosen.measure()[i]) - expected.measure[at]) <= expected.error[at]);
      REQUIRE((expected.open[at] == 0 || m == 1));  // with one key, every M is a rounding error of 0
      if (expected.open[at] == 0) REQUIRE(chosen.is_lazy(i) == (expected.active[at] == 0));
      active += expected.active[at];
    }
    CHECK(static_cast<Index>(chosen.active().size()) == active);
    CHECK(std::is_sorted(chosen.active().begin(), chosen.active().end()));
    // The given sample and the returned selection give the same result.
    const Matrix<S> out = (scores | fg::prob_sparse(c, 9) | fg::softmax()) * x.v;
    CHECK(test::same(out, Matrix<S>((scores | fg::prob_sparse(c, sample) | fg::softmax()) * x.v)));
    CHECK(test::same(out, Matrix<S>((scores | chosen | fg::softmax()) * x.v)));
  }
}

TEST_CASE("rows with NaN become active first, and ties go to the lowest row") {
  M q = M::Ones(40, 4), k = M::Ones(30, 4);
  const auto active = [&] { return fg::route(fg::scores(q, k) | fg::prob_sparse(1, 3)).active(); };
  CHECK(active() == std::vector<Index>{0, 1, 2, 3});
  q(20, 1) = std::numeric_limits<float>::quiet_NaN();
  q(35, 0) = std::numeric_limits<float>::quiet_NaN();
  CHECK(active() == std::vector<Index>{0, 1, 20, 35});
}

TEMPLATE_TEST_CASE("a lazy row is the mean, or the sum, of the values it attends to", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Inputs<S> x(402, 90, 90);
  const auto scores = fg::scores(x.q, x.k);
  const auto chosen = fg::route(scores | fg::prob_sparse(2, 4));
  const auto check = [&](const auto& a, const auto& visible, bool sums) {
    const auto [out, lse] = fg::attend(a, x.v);
    const Matrix<S> weights = a;
    for (Index i = 0; i < 90; ++i) {
      if (!chosen.is_lazy(i)) continue;
      Matrix<long double> mean = Matrix<long double>::Zero(1, x.v.cols());
      Index count = 0;
      for (Index j = 0; j < 90; ++j)
        if (visible(i, j)) mean += x.v.row(j).template cast<long double>(), ++count;
      if (!sums && count > 0) mean /= static_cast<long double>(count);
      const double tolerance = (sums ? 90 : 2) * 90 * static_cast<double>(std::numeric_limits<S>::epsilon());
      REQUIRE((out.row(i).template cast<long double>() - mean).cwiseAbs().maxCoeff() <= tolerance);
      for (Index j = 0; j < 90; ++j) {
        const double weight = !visible(i, j) ? 0 : sums ? 1 : 1 / static_cast<double>(count);
        REQUIRE(std::abs(static_cast<double>(weights(i, j)) - weight) <=
                4 * static_cast<double>(std::numeric_limits<S>::epsilon()));
      }
      REQUIRE(std::abs(static_cast<double>(lse[i]) - std::log(static_cast<double>(count))) <= tolerance);
    }
  };
  const auto all = [](Index, Index) { return true; };
  const auto before = [](Index i, Index j) { return j <= i; };
  check(scores | fg::prob_sparse(2, 4) | fg::softmax(), all, false);
  check(scores | fg::causal() | fg::prob_sparse(2, 4) | fg::softmax(), before, false);
  check(scores | fg::prob_sparse(2, 4) | fg::causal() | fg::softmax(), before, false);
  check(scores | fg::prob_sparse(2, 4) | fg::softmax() | fg::lazy_sum(), all, true);
  check(scores | fg::causal() | fg::prob_sparse(2, 4) | fg::softmax() | fg::lazy_sum(), before, true);
}

TEMPLATE_TEST_CASE("middleRows, threads, workspaces and packed keys give the same bits", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Inputs<S> x(403, 700, 900, 16, 20);
  const auto scores = fg::scores(x.q, x.k);
  const auto check = [&](const auto& a) {
    const Matrix<S> whole = a * x.v;
    for (const int threads : {1, 2, 5}) {
      fg::thread_pool pool(threads);
      fg::Workspace workspace;
      const auto b = a.on(pool).with(workspace);
      REQUIRE(test::same(Matrix<S>(b * x.v), whole));
      REQUIRE(test::same(Matrix<S>(b * x.v), whole));
    }
    for (const auto& [first, count] : {std::pair<Index, Index>{0, 1}, {3, 10}, {250, 300}, {699, 1}, {5, 0}})
      REQUIRE(test::same(Matrix<S>(a.middleRows(first, count) * x.v), Matrix<S>(whole.middleRows(first, count))));
    const auto packed = fg::pack(x.k);
    REQUIRE(
        test::same(Matrix<S>((fg::scores(x.q, packed) | fg::causal() | fg::prob_sparse(3, 1) | fg::softmax()) * x.v),
                   Matrix<S>((scores | fg::causal() | fg::prob_sparse(3, 1) | fg::softmax()) * x.v)));
  };
  check(scores | fg::prob_sparse(3, 1) | fg::softmax());
  check(scores | fg::causal() | fg::prob_sparse(3, 1) | fg::softmax());
  check(scores | fg::prob_sparse(3, 1) | fg::window(40) | fg::softmax());
}

TEMPLATE_TEST_CASE("each head with prob_sparse is bitwise equal to the head computed alone", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Inputs<S> x(404, 80, 80, 12, 6);
  fg::thread_pool pool(3);
  const auto head = fg::causal() | fg::prob_sparse(1, 5) | fg::softmax();
  const Matrix<S> all = fg::multi_head(fg::heads{3}, x.q, x.k, x.v, head).on(pool);
  for (Index h = 0; h < 3; ++h) {
    const Matrix<S> one =
        (fg::scores(x.q.middleCols(4 * h, 4), x.k.middleCols(4 * h, 4)) | head) * x.v.middleCols(2 * h, 2);
    CHECK(test::same(one, Matrix<S>(all.middleCols(2 * h, 2))));
  }
}

TEMPLATE_TEST_CASE("values outside the window of a row do not change it", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Inputs<S> x(405, 200, 200);
  const auto a = fg::scores(x.q, x.k) | fg::prob_sparse(1, 5) | fg::window(30, 0) | fg::softmax();
  const Matrix<S> clean = a * x.v;
  for (const S bad : {std::numeric_limits<S>::quiet_NaN(), std::numeric_limits<S>::infinity(),
                      (std::numeric_limits<S>::max)() / 2, S(1e10)}) {
    const auto v = x.v;
    x.v.row(100).setConstant(bad);
    const Matrix<S> out = a * x.v;
    for (Index i = 0; i < 200; ++i) {
      if (i < 100 || i > 130)
        REQUIRE(test::same(out.row(i), clean.row(i)));
      else
        REQUIRE(!test::same(out.row(i), clean.row(i)));
    }
    x.v = v;
  }
}

TEMPLATE_TEST_CASE("prob_sparse agrees with the general evaluator for non-finite keys and queries", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  constexpr S inf = std::numeric_limits<S>::infinity(), nan = std::numeric_limits<S>::quiet_NaN();
  for (const S bad : {nan, inf, -inf, (std::numeric_limits<S>::max)() / 2}) {
    Inputs<S> x(406, 60, 60);
    x.k(30, 2) = bad;
    x.q(50, 1) = bad;
    const auto a = fg::scores(x.q, x.k) | fg::causal() | fg::prob_sparse(1, 5) | fg::softmax();
    const auto chosen = fg::route(a);
    const Matrix<S> out = a * x.v, general = test::general_product(a, x.v);
    for (Index i = 0; i < 60; ++i)
      for (Index f = 0; f < x.v.cols(); ++f) {
        REQUIRE(std::isnan(out(i, f)) == std::isnan(general(i, f)));
        if (!std::isnan(out(i, f)))
          REQUIRE(std::abs(out(i, f) - general(i, f)) <= 100 * std::numeric_limits<S>::epsilon());
      }
    if (std::isnan(bad))
      for (Index i = 0; i < 60; ++i) REQUIRE(all_nan(out.row(i)) == (i >= 30));
  }
}

TEST_CASE("prob_sparse handles empty rows and sizes of 0") {
  const Inputs<float> x(407, 30, 10);
  // The first 20 queries are before the first key.
  const auto [out, lse] = fg::attend(fg::scores(x.q, x.k) | fg::causal() | fg::prob_sparse(1, 5) | fg::softmax(), x.v);
  for (Index i = 0; i < 20; ++i) {
    CHECK(test::same(Matrix<float>(out.row(i)), Matrix<float>(Matrix<float>::Zero(1, 7))));
    CHECK(lse[i] == -std::numeric_limits<float>::infinity());
  }
  for (const auto& [n, m] : {std::pair<Index, Index>{0, 5}, {5, 0}, {0, 0}}) {
    const Inputs<float> y(408, n, m);
    const Matrix<float> none = (fg::scores(y.q, y.k) | fg::prob_sparse(1, 5) | fg::softmax()) * y.v;
    CHECK(test::same(none, Matrix<float>(Matrix<float>::Zero(n, 7))));
  }
}
