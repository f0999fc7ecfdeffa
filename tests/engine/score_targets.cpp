// SPDX-License-Identifier: MIT
// Scores after patterns and maps in dense targets, which are written as tiles, against the lists of a sparse target.
#include <Eigen/SparseCore>
#include <array>
#include <cmath>
#include <limits>

#include "catch.hpp"
#include "filigree/attention/scores.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/core/thread_pool.hpp"
#include "filigree/pattern/pattern.hpp"
#include "filigree/pipe/pipe.hpp"
#include "filigree/score_map/score_map.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

template <class S>
using Rows = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class S>
using Columns = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;

template <class S>
bool same(const Rows<S>& a, const Rows<S>& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index c = 0; c < a.cols(); ++c)
      if (!(a(i, c) == b(i, c) || (std::isnan(a(i, c)) && std::isnan(b(i, c))))) return false;
  return true;
}

/// Compares all dense targets with a sparse one.
template <class S, class Weights>
void check(const Weights& weights, Index n, Index m) {
  const Eigen::SparseMatrix<S, Eigen::RowMajor> sparse = weights;
  const Rows<S> expected = sparse;
  Rows<S> rows = Rows<S>::Constant(n, m, S(7));
  rows = weights;
  REQUIRE(same<S>(rows, expected));
  Columns<S> columns = Columns<S>::Constant(n, m, S(7));
  columns = weights;
  REQUIRE(same<S>(columns, expected));
  Rows<S> wide = Rows<S>::Constant(n + 1, m + 3, S(7));
  wide.block(1, 2, n, m) = weights;
  REQUIRE(same<S>(wide.block(1, 2, n, m), expected));
  REQUIRE((wide.row(0).array() == S(7)).all());
  REQUIRE((wide.leftCols(2).array() == S(7)).all());
  REQUIRE((wide.rightCols(1).array() == S(7)).all());
  Columns<S> tall = Columns<S>::Constant(n + 2, m, S(7));
  tall.middleRows(1, n) = weights;
  REQUIRE(same<S>(tall.middleRows(1, n), expected));
  REQUIRE((tall.row(0).array() == S(7)).all());
  REQUIRE((tall.row(n + 1).array() == S(7)).all());
  rows.setConstant(S(1));
  rows += weights;
  REQUIRE(same<S>(rows, expected.array() + S(1)));
  fg::ThreadPool pool(3);
  rows.setConstant(S(7));
  rows = weights.on(pool);
  REQUIRE(same<S>(rows, expected));
}

template <class S, class F>
void for_sizes(const F& f) {
  fg::Generator g(4);
  for (const auto [n, m, d] : {std::array<Index, 3>{1, 1, 3},
                               {3, 70, 5},
                               {17, 15, 0},
                               {20, 64, 4},
                               {97, 65, 8},
                               {100, 2300, 3},
                               {193, 129, 2}}) {
    Rows<S> q(n, d), k(m, d);
    fg::fill_normal(q, g);
    fg::fill_normal(k, g);
    CAPTURE(n, m, d);
    f(q, k, g);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("dense targets of scores after patterns have the scores of sparse ones", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  for_sizes<S>([](const Rows<S>& q, const Rows<S>& k, fg::Generator&) {
    const Index n = q.rows(), m = k.rows();
    check<S>(fg::scores(q, k) | fg::causal(), n, m);
    check<S>(fg::scores(q, k) | fg::first(m), n, m);
    check<S>(fg::scores(q, k) | (fg::window(3) || fg::first(2)), n, m);
    check<S>(fg::scores(q, k) | fg::strided(7), n, m);
    check<S>(fg::scores(q, k, {.query_at = -5, .key_at = 2}) | fg::window(9, 1), n, m);
    check<S>(fg::scores(q, k) | fg::where([](Index p, Index j) { return (p * 7 + j) % 11 < 4; }), n, m);
  });
}

TEMPLATE_TEST_CASE("dense targets of scores after maps have the scores of sparse ones", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  for_sizes<S>([](const Rows<S>& q, const Rows<S>& k, fg::Generator& g) {
    const Index n = q.rows(), m = k.rows();
    Rows<S> b(n, m);
    fg::fill_normal(b, g);
    for (Index i = 0; i < b.size(); i += 13) b.data()[i] = -std::numeric_limits<S>::infinity();
    for (Index i = 5; i < b.size(); i += 37) b.data()[i] = std::numeric_limits<S>::quiet_NaN();
    check<S>(fg::scores(q, k) | fg::causal() | fg::bias(b), n, m);
    check<S>(fg::scores(q, k) | fg::alibi(0.5) | fg::window(20) | fg::softcap(2), n, m);
    check<S>(fg::scores(q, k) | fg::map([](S s, Index p, Index j) {
               return (p + j) % 5 == 0 ? -std::numeric_limits<S>::infinity() : s * 2;
             }) | fg::first(100),
             n, m);
  });
}

TEST_CASE("a masked key of NaN or infinity does not reach a dense target of scores") {
  fg::Generator g(8);
  Rows<float> q(150, 4), k(150, 4);
  fg::fill_normal(q, g);
  fg::fill_normal(k, g);
  k.row(149).setConstant(std::numeric_limits<float>::quiet_NaN());
  k.row(140).setConstant(std::numeric_limits<float>::infinity());
  const Rows<float> weights = fg::scores(q, k) | fg::causal();
  for (Index i = 0; i < 150; ++i)
    for (Index c = i + 1; c < 150; ++c) REQUIRE(weights(i, c) == 0);
  CHECK(weights.topRows(140).allFinite());
  CHECK(std::isnan(weights(149, 149)));
  const double expected = q.row(99).cast<double>().dot(k.row(7).cast<double>()) / 2;
  CHECK(static_cast<double>(weights(99, 7)) == Approx(expected).epsilon(1e-5));
}
