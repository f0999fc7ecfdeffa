// SPDX-License-Identifier: MIT
// The dense engine against the general evaluator: random pipelines, layouts, sizes and values.
#include <cmath>
#include <limits>
#include <thread>

#include "../general.hpp"
#include "catch.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/core/thread_pool.hpp"
#include "filigree/normalize/normalize.hpp"
#include "filigree/pattern/pattern.hpp"
#include "filigree/score_map/score_map.hpp"
#include "filigree/select/select.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

template <class S>
using RowMajor = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class S>
using ColMajor = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;

/// Random numbers: normal, few distinct ones, or with NaN, infinities, zeros and absent entries.
template <class S>
RowMajor<S> random_values(fg::Generator& g, Index n, Index m) {
  constexpr S inf = std::numeric_limits<S>::infinity();
  const S special[] = {
      std::numeric_limits<S>::quiet_NaN(), inf, -inf, -inf, S(0), -S(0), std::numeric_limits<S>::denorm_min(),
      std::numeric_limits<S>::lowest()};
  RowMajor<S> x(n, m);
  const Index kind = g.below(4);
  for (Index i = 0; i < n; ++i) {
    const Index row_kind = kind < 3 ? kind : g.below(3);
    for (Index j = 0; j < m; ++j) {
      const double z = g.normal();
      x(i, j) = static_cast<S>(row_kind == 0 ? z : row_kind == 1 ? std::round(2 * z) : 3 * z);
      if (row_kind == 2 && g.below(6) == 0) x(i, j) = special[g.below(8)];
      if (row_kind == 1 && g.below(3) == 0) x(i, j) = -inf;
    }
  }
  return x;
}

template <class S>
bool same_bits(S a, S b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}
template <class A, class B>
bool same_matrix(const A& a, const B& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index j = 0; j < a.cols(); ++j)
      if (!same_bits(a(i, j), b(i, j))) return false;
  return true;
}
/// Weights of equal kept sets, whose sums ran in another order.
template <class A, class B>
bool nearly_same_matrix(const A& a, const B& b) {
  using S = typename A::Scalar;
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index j = 0; j < a.cols(); ++j) {
      if (same_bits(a(i, j), b(i, j))) continue;
      if (!(std::abs(a(i, j) - b(i, j)) <= 64 * std::numeric_limits<S>::epsilon() * std::abs(b(i, j)))) return false;
    }
  return true;
}

template <class A>
auto expected_of(const A& a) {
  using S = typename A::Scalar;
  RowMajor<S> all = RowMajor<S>::Zero(a.rows(), a.cols());
  test::general_rows(a, [&](const fg::Row<S>& row, auto&) {
    for (Index e = 0; e < row.count; ++e) {
      const Index i = row.index - a.first_row(), c = row.columns[e];
      (A::is_column ? all(c, i) : all(i, c)) = row.values[e];
    }
  });
  return all;
}

/// Checks `x | stages` for the plainest layouts.
template <bool exact = true, class S, class Stages>
void check_stages_of(const RowMajor<S>& x, const Stages& stages, fg::ThreadPool& pool) {
  const RowMajor<S> expected = expected_of(x | stages), by_row = (x | stages).on(pool);
  REQUIRE((exact ? same_matrix(by_row, expected) : nearly_same_matrix(by_row, expected)));
  const ColMajor<S> source = x, by_column = source | stages;
  REQUIRE(same_matrix(by_column, by_row));
  const Eigen::SparseMatrix<S, Eigen::RowMajor> sparse = x | stages, oracle = test::general_sparse(x | stages);
  REQUIRE(sparse.nonZeros() == oracle.nonZeros());
  REQUIRE(same_matrix(RowMajor<S>(sparse), by_row));
}

/// Checks `x | stages` for each layout of source and target.
template <bool exact = true, class S, class Stages>
void check_layouts(const RowMajor<S>& x, const Stages& stages, fg::ThreadPool& pool) {
  const auto same = [](const auto& a, const auto& b) { return exact ? same_matrix(a, b) : nearly_same_matrix(a, b); };
  const Index n = x.rows(), m = x.cols();
  const RowMajor<S> expected = expected_of(x | stages);
  const ColMajor<S> by_column = x;
  RowMajor<S> row_target;
  ColMajor<S> column_target;
  row_target = x | stages;
  REQUIRE(same(row_target, expected));
  const RowMajor<S> first = row_target;
  column_target = x | stages;
  REQUIRE(same_matrix(column_target, first));
  row_target = by_column | stages;
  REQUIRE(same_matrix(row_target, first));
  column_target = (by_column | stages).on(pool);
  REQUIRE(same_matrix(column_target, first));
  row_target = (x | stages).on(pool);
  REQUIRE(same_matrix(row_target, first));

  RowMajor<S> wide = RowMajor<S>::Constant(n + 2, 2 * m + 3, S(7)), blank = wide;
  wide.block(1, 2, n, m) = x | stages;
  REQUIRE(same_matrix(wide.block(1, 2, n, m), first));
  wide.block(1, 2, n, m) = blank.block(1, 2, n, m);
  REQUIRE(same_matrix(wide, blank));  // nothing else was written
  ColMajor<S> tall = ColMajor<S>::Constant(n + 2, m + 3, S(7));
  tall.block(1, 2, n, m) = x.eval().block(0, 0, n, m) | stages;
  REQUIRE(same_matrix(tall.block(1, 2, n, m), first));
  using Strided = Eigen::Stride<Eigen::Dynamic, 2>;
  if (m > 0) {
    Eigen::Map<RowMajor<S>, 0, Strided> strided(wide.data(), n, m, Strided(wide.cols(), 2));
    strided = x;
    row_target = strided | stages;
    REQUIRE(same_matrix(row_target, first));
    strided = x | stages;
    REQUIRE(same_matrix(strided, first));
  }
  row_target = (x + RowMajor<S>::Zero(n, m)) | stages;  // an expression without memory
  if constexpr (exact) REQUIRE(nearly_same_matrix(row_target, first));

  RowMajor<S> sum = RowMajor<S>::Constant(n, m, S(2));
  sum += x | stages;
  sum -= x | stages;
  RowMajor<S> expected_sum = RowMajor<S>::Constant(n, m, S(2));
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < m; ++j)
      if (first(i, j) != 0) expected_sum(i, j) = (expected_sum(i, j) + first(i, j)) - first(i, j);
  REQUIRE(same_matrix(sum, expected_sum));
  RowMajor<S> in_place = x;
  in_place = in_place | stages;
  REQUIRE(same_matrix(in_place, first));

  const Eigen::SparseMatrix<S, Eigen::RowMajor> rows = x | stages, oracle = test::general_sparse(x | stages);
  const Eigen::SparseMatrix<S> columns = (by_column | stages).on(pool);
  REQUIRE(rows.nonZeros() == oracle.nonZeros());
  REQUIRE(columns.nonZeros() == oracle.nonZeros());
  REQUIRE(std::equal(rows.outerIndexPtr(), rows.outerIndexPtr() + n + 1, oracle.outerIndexPtr()));
  REQUIRE(std::equal(rows.innerIndexPtr(), rows.innerIndexPtr() + rows.nonZeros(), oracle.innerIndexPtr()));
  REQUIRE(same(RowMajor<S>(rows), RowMajor<S>(oracle)));
  REQUIRE(same_matrix(RowMajor<S>(columns), RowMajor<S>(rows)));
  if (n > 2) {
    row_target = (x | stages).middleRows(1, n - 2);
    REQUIRE(same_matrix(row_target, first.middleRows(1, n - 2)));
    column_target = (by_column | stages).middleRows(1, n - 2);
    REQUIRE(same_matrix(column_target, first.middleRows(1, n - 2)));
  }
  if (n > 0) {
    const Eigen::Matrix<S, Eigen::Dynamic, 1> vector = x.row(0).transpose();
    const Eigen::Matrix<S, Eigen::Dynamic, 1> result = vector | stages;
    const RowMajor<S> one = x.row(0);
    const RowMajor<S> one_result = one | stages;
    REQUIRE(same_matrix(result.transpose(), one_result));
  }
}

constexpr Index sizes[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 100, 1000, 1030};

template <class S>
void check_stages(fg::Generator& g, const RowMajor<S>& x, fg::ThreadPool& pool) {
  const double t = g.below(4) == 0 ? 0 : std::abs(g.normal());
  const Index k = 1 + g.below(x.cols() + 1);
  const double fraction = g.below(5) == 0 ? 1 : 0.01 * static_cast<double>(g.below(100));
  const auto shift = fg::map([](S s, Index p, Index j) { return s + static_cast<S>(p - 2 * j); });
  const auto twice = fg::map([](S s, Index, Index) { return s > S(1) ? -std::numeric_limits<S>::infinity() : 2 * s; });
  CAPTURE(x.rows(), x.cols(), t, k, fraction);
  switch (g.below(16)) {
    case 0: return check_layouts(x, fg::threshold(t), pool);
    case 1: return check_layouts(x, fg::hard_threshold(t), pool);
    case 2: return check_layouts(x, fg::soft_threshold(t), pool);
    case 3: return check_stages_of(x, fg::relu() | shift, pool);
    case 4: return check_layouts(x, shift | twice | fg::soft_threshold(t), pool);
    case 5: return check_layouts(x, fg::top_k(k), pool);
    case 6: return check_layouts(x, fg::drop_lowest(fraction), pool);
    case 7: return check_stages_of(x, fg::tanh() | fg::top_k(k) | fg::softmax(), pool);
    case 8: return check_layouts<false>(x, fg::softmax({.sink = t}), pool);
    case 9: return check_stages_of<false>(x, fg::threshold(t) | fg::softmax() | fg::threshold(0.01), pool);
    case 10: return check_layouts(x, fg::causal() | fg::sigmoid(), pool);
    case 11: return check_stages_of<false>(x, fg::window(3) | fg::softcap(2) | fg::softmax() | fg::top_k(k), pool);
    case 12: return check_stages_of(x, fg::alibi(0.5) | fg::drop_lowest(fraction), pool);
    case 13: return check_stages_of<false>(x, fg::softmax() | fg::softmax(), pool);
    case 14: return check_stages_of(x, fg::prune_n_m(1, 4) | fg::relu(), pool);
    default: return check_stages_of(x, fg::top_k(k) | fg::relu() | twice, pool);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("the dense engine gives what the general evaluator gives", "", FILIGREE_TEST_SCALARS) {
  const std::uint64_t seed = 5161;
  fg::Generator g(seed);
  fg::ThreadPool pool(3);
  for (int trial = 0; trial < 300; ++trial) {
    CAPTURE(seed, trial);
    const Index n = trial % 50 == 0 ? 300 : g.below(40), m = sizes[g.below(n > 40 ? 9 : std::size(sizes))];
    check_stages(g, random_values<TestType>(g, n, m), pool);
  }
}
