// SPDX-License-Identifier: MIT
// prune_n_m and the matrix stages, compared with stable sorts.
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <vector>

#include "after_both.hpp"
#include "catch.hpp"
#include "filigree/core/thread_pool.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/pipe/pipe.hpp"
#include "filigree/select/select.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

template <class S>
std::vector<S> magnitudes(std::vector<S> row) {
  for (S& x : row)
    if (x != absent<S>) x = std::abs(x);
  return row;
}

template <class S>
using Rows = std::vector<std::vector<S>>;

template <class S>
std::vector<S> flat(const Rows<S>& rows) {
  std::vector<S> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

template <class S>
Rows<S> random_rows(fg::Generator& g) {
  Rows<S> rows(static_cast<std::size_t>(g.below(9)));
  const Index m = g.below(12);
  for (auto& row : rows) row = random_row<S>(g, m, true);
  return rows;
}

}  // namespace

TEMPLATE_TEST_CASE("prune_n_m keeps the n largest magnitudes of each m columns", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 101;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 3000; ++trial) {
    std::vector<S> row = random_row<S>(g,
                                       trial % 50 == 0  ? 1000
                                       : trial % 7 == 0 ? 60 + g.below(10)
                                                        : g.below(50),
                                       true);
    if (trial % 5 == 0)  // a list with large gaps
      for (std::size_t c = 0; c < row.size(); ++c) row[c] = c % 37 == 0 || c % 37 == 3 ? row[c] : absent<S>;
    const Index m = trial % 3 == 0 ? Index{1} << g.below(5) : 1 + g.below(trial % 10 == 0 ? 100 : 8),
                n = 1 + g.below(m);
    std::vector<S> expected(row.size(), absent<S>);
    for (std::size_t at = 0; at < row.size(); at += static_cast<std::size_t>(m)) {
      const std::size_t end = std::min(row.size(), at + static_cast<std::size_t>(m));
      const std::vector<S> group(row.begin() + static_cast<Index>(at), row.begin() + static_cast<Index>(end));
      const auto kept = only(group, ranking(magnitudes(group)), static_cast<std::size_t>(n));
      std::copy(kept.begin(), kept.end(), expected.begin() + static_cast<Index>(at));
    }
    CAPTURE(trial, n, m);
    REQUIRE(same(after_both(fg::prune_n_m(n, m), row), expected));
  }
  // Denormal numbers are equal to 0 for a processor that treats them as such. Then the first ones are kept.
  constexpr S least = std::numeric_limits<S>::denorm_min();
  const std::vector<S> tiny{0, least, -2 * least, 3 * least, -least, 5 * least, 4 * least, -3 * least};
  for (const Index m : {2, 4, 8, 3, 7}) {
    std::vector<S> expected;
    for (std::size_t at = 0; at < tiny.size(); at += static_cast<std::size_t>(m)) {
      const std::vector<S> group(tiny.begin() + static_cast<Index>(at),
                                 tiny.begin() + static_cast<Index>(std::min(tiny.size(), at + std::size_t(m))));
      const auto kept = only(group, ranking(magnitudes(group)), 1);
      expected.insert(expected.end(), kept.begin(), kept.end());
    }
    CHECK(same(after_both(fg::prune_n_m(1, m), tiny), expected));
  }
  const S no = absent<S>;
  CHECK(same(after(fg::prune_n_m(2, 4), std::vector<S>{S(1), S(-3), S(2), S(-1), no, S(1), S(1), S(-1), S(5)}),
             {no, S(-3), S(2), no, no, S(1), S(1), no, S(5)}));
}

TEMPLATE_TEST_CASE("winner_take_all keeps a fraction of each column, the largest values", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 102;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 1000; ++trial) {
    const Rows<S> rows = random_rows<S>(g);
    const double fraction = trial % 4 == 0 ? static_cast<double>(1 + g.below(10)) / 10 : 1 - g.uniform();
    const auto winners = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(rows.size())));
    Rows<S> expected = rows;
    for (std::size_t c = 0; !rows.empty() && c < rows[0].size(); ++c) {
      std::vector<S> column;
      for (const auto& row : rows) column.push_back(row[c]);
      const auto kept = only(column, ranking(column), std::max<std::size_t>(winners, 1));
      for (std::size_t i = 0; i < rows.size(); ++i) expected[i][c] = kept[i];
    }
    CAPTURE(trial, fraction);
    const Rows<S> got = after_both(fg::winner_take_all(fraction), rows);
    for (std::size_t i = 0; i < rows.size(); ++i) REQUIRE(same(got[i], expected[i]));
  }
}

TEMPLATE_TEST_CASE("prune_magnitude and batch_top_k rank all entries together", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 103;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 1000; ++trial) {
    const Rows<S> rows = random_rows<S>(g);
    const std::vector<S> all = flat(rows);
    const auto by_size = ranking(magnitudes(all)), by_value = ranking(all);
    const double fraction = g.below(4) == 0 ? static_cast<double>(g.below(10)) / 10 : g.uniform();
    const auto dropped = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(by_size.size())));
    const Index k = 1 + g.below(5);
    CAPTURE(trial, fraction, k);
    REQUIRE(same(flat(after_both(fg::prune_magnitude(fraction), rows)), only(all, by_size, by_size.size() - dropped)));
    REQUIRE(same(flat(after_both(fg::batch_top_k(k), rows)),
                 only(all, by_value, static_cast<std::size_t>(k) * rows.size())));
  }
}

TEMPLATE_TEST_CASE("matrix stages give known results for small matrices", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const S no = absent<S>, nan = nan_of<S>;
  const Rows<S> rows{{S(1), S(-5), S(2)}, {S(4), S(2), S(2)}};
  CHECK(after_both(fg::batch_top_k(1), rows) == Rows<S>{{no, no, S(2)}, {S(4), no, no}});
  CHECK(after_both(fg::batch_top_k(std::numeric_limits<Index>::max()), rows) == rows);
  CHECK(after_both(fg::prune_magnitude(0.5), rows) == Rows<S>{{no, S(-5), S(2)}, {S(4), no, no}});
  CHECK(after_both(fg::prune_magnitude(0), rows) == rows);
  CHECK(after_both(fg::prune_magnitude(1), rows) == Rows<S>{{no, no, no}, {no, no, no}});
  CHECK(after_both(fg::winner_take_all(0.5), rows) == Rows<S>{{no, no, S(2)}, {S(4), S(2), no}});
  CHECK(after_both(fg::winner_take_all(0.01), rows) == Rows<S>{{no, no, S(2)}, {S(4), S(2), no}});
  CHECK(after_both(fg::winner_take_all(1), rows) == rows);
  const auto pruned = after_both(fg::prune_magnitude(1), Rows<S>{{S(1), nan}});
  CHECK(same(pruned[0], {no, nan}));
  CHECK(after_both(fg::batch_top_k(3), Rows<S>{}).empty());
  CHECK(after_both(fg::winner_take_all(0.5), Rows<S>{{}, {}}) == Rows<S>{{}, {}});
}

namespace {

/// Large matrices whose values deceive a sample, or of which many are equal, absent or NaN.
enum class Values {
  normal,
  rounded,
  zeros,
  rows_sorted,
  one_row_large,
  sparse,
  some_nan,
  many_nan,
  constant,
  extremes
};

template <class S>
Rows<S> large_rows(fg::Generator& g, Index n, Index m, Values kind) {
  Rows<S> rows(static_cast<std::size_t>(n), std::vector<S>(static_cast<std::size_t>(m)));
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (S& x : rows[i]) {
      x = static_cast<S>(g.normal());
      if (kind == Values::rounded) x = std::round(2 * x);
      if (kind == Values::zeros) x = std::max(x, S(0));
      if (kind == Values::rows_sorted) x = static_cast<S>(i) + S(0.01) * x;
      if (kind == Values::one_row_large) x = i == rows.size() / 2 ? S(3) + S(0.001) * x : std::round(x);
      if (kind == Values::sparse && g.below(1000) != 0) x = absent<S>;
      if (kind == Values::some_nan && g.below(5000) == 0) x = nan_of<S>;
      if (kind == Values::many_nan && g.below(3) != 0) x = nan_of<S>;
      if (kind == Values::constant) x = S(-2.5);
      if (kind == Values::extremes) {
        const S some[] = {infinity_of<S>,
                          S(0),
                          -S(0),
                          std::numeric_limits<S>::denorm_min(),
                          std::numeric_limits<S>::max(),
                          std::numeric_limits<S>::lowest(),
                          -std::numeric_limits<S>::min(),
                          x};
        x = some[g.below(8)];
      }
    }
  return rows;
}

}  // namespace

TEMPLATE_TEST_CASE("matrix stages keep the same entries of large matrices as a sort", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 104;
  CAPTURE(seed);
  fg::Generator g(seed);
  const std::pair<Index, Index> shapes[] = {{257, 300}, {1, 70000}, {70000, 1}, {3, 65537}, {1025, 65}};
  int shape = 0;
  const bool brief = std::getenv("FILIGREE_LAW_PERCENT") != nullptr;  // repetitions in other environments
  for (const Values kind : {Values::normal, Values::rounded, Values::zeros, Values::rows_sorted, Values::one_row_large,
                            Values::sparse, Values::some_nan, Values::many_nan, Values::constant, Values::extremes}) {
    const auto [n, m] = shapes[shape++ % 5];
    if (brief && shape % 5 != 1 && kind != Values::extremes) continue;
    const Rows<S> rows = large_rows<S>(g, n, m, kind);
    const std::vector<S> all = flat(rows);
    const auto by_size = ranking(magnitudes(all)), by_value = ranking(all);
    CAPTURE(n, m, static_cast<int>(kind));
    for (const double fraction : {0.0, 0.001, 0.5, 0.9, 0.9999, 1.0}) {
      const auto dropped = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(by_size.size())));
      std::vector<S> expected = only(all, by_size, by_size.size() - dropped);
      if (fraction == 1)
        for (std::size_t e = 0; e < all.size(); ++e) expected[e] = std::isnan(all[e]) ? all[e] : absent<S>;
      CAPTURE(fraction);
      REQUIRE(same(flat(after_both(fg::prune_magnitude(fraction), rows)), expected));
    }
    for (const Index k : {Index{1}, Index{2}, m / 10 + 1, m / 2 + 1, m}) {
      CAPTURE(k);
      REQUIRE(same(flat(after_both(fg::batch_top_k(k), rows)), only(all, by_value, static_cast<std::size_t>(k * n))));
    }
  }
}

TEMPLATE_TEST_CASE("winner_take_all keeps the same entries of tall matrices as a sort", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 105;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (const Index m : {1, 2, 15, 16, 17, 63, 64, 65})
    for (const Values kind : {Values::normal, Values::rounded, Values::zeros, Values::sparse, Values::some_nan,
                              Values::many_nan, Values::constant, Values::extremes}) {
      const Rows<S> rows = large_rows<S>(g, 100, m, kind);
      for (const double fraction : {0.004, 0.05, 0.5, 0.99, 1.0}) {
        const auto winners = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(rows.size())));
        const Rows<S> got = after_both(fg::winner_take_all(fraction), rows);
        CAPTURE(m, fraction, static_cast<int>(kind));
        for (std::size_t c = 0; c < static_cast<std::size_t>(m); ++c) {
          std::vector<S> column, kept;
          for (const auto& row : rows) column.push_back(row[c]);
          for (const auto& row : got) kept.push_back(row[c]);
          REQUIRE(same(kept, only(column, ranking(column), std::max<std::size_t>(winners, 1))));
        }
      }
    }
}

TEMPLATE_TEST_CASE("matrix stages do not depend on the memory of the source or on threads", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using RowMajor = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using ColMajor = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
  const auto equal = [](const auto& a, const RowMajor& b) {
    const RowMajor x = a;
    bool all = x.rows() == b.rows() && x.cols() == b.cols();
    for (Index e = 0; all && e < x.size(); ++e) all = same(x.data()[e], b.data()[e]);
    return all;
  };
  fg::Generator g(106);
  fg::ThreadPool pool(3);
  const auto check = [&](const auto& stages, Index n, Index m, Values kind) {
    RowMajor x(n, m);
    const Rows<S> rows = large_rows<S>(g, n, m, kind);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < m; ++j) x(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
    const RowMajor expected = x | stages;
    CHECK(equal((x | stages).on(pool), expected));
    const ColMajor columns = x;
    CHECK(equal((columns | stages).on(pool), expected));
    const ColMajor to_columns = (x | stages).on(pool);
    CHECK(equal(to_columns, expected));
    RowMajor wide = RowMajor::Constant(n, 2 * m + 3, S(9));
    Eigen::Map<RowMajor, 0, Eigen::Stride<Eigen::Dynamic, 2>> strided(wide.data(), n, m,
                                                                      Eigen::Stride<Eigen::Dynamic, 2>(2 * m + 3, 2));
    strided = x;
    CHECK(equal(strided | stages, expected));
    wide.leftCols(m) = x;
    CHECK(equal((wide.leftCols(m) | stages).on(pool), expected));
    CHECK(equal((x + RowMajor::Zero(n, m)) | stages, expected));
    const Eigen::SparseMatrix<S, Eigen::RowMajor> sparse = (x | stages).on(pool);
    CHECK(equal(RowMajor(sparse), expected));
    if (n > 2) CHECK(equal((x | stages).middleRows(1, n - 2), expected.middleRows(1, n - 2)));
    fg::Workspace workspace;
    for (int repeat = 0; repeat < 2; ++repeat) CHECK(equal((x | stages).with(workspace).on(pool), expected));
  };
  for (const auto& [n, m] : {std::pair<Index, Index>{0, 5}, {5, 0}, {7, 13}, {300, 250}}) {
    CAPTURE(n, m);
    for (const Values kind : {Values::normal, Values::rounded, Values::sparse, Values::some_nan}) {
      check(fg::prune_magnitude(0.8), n, m, kind);
      check(fg::batch_top_k(3), n, m, kind);
      check(fg::winner_take_all(0.1), n, m, kind);
      check(fg::threshold(0) | fg::batch_top_k(3) | fg::softmax(), n, m, kind);
      check(fg::top_k(20) | fg::winner_take_all(0.5) | fg::relu() | fg::prune_magnitude(0.3), n, m, kind);
    }
  }
}

namespace {

/// A matrix stage of a user: divides all entries by the largest magnitude of the matrix.
template <class S>
struct DividedBy {
  using Category = fg::ScoreMap;
  S divisor;
  S map(S x, Index, Index, const fg::Grid&) const { return x / divisor; }
};
struct DivideByLargest {
  using Category = fg::MatrixStage;
  template <fg::Real S>
  DividedBy<S> bind(const fg::DenseMatrix<S>& X, const auto& session) const {
    S* const largest = X.memory.template take<S>(X.grid.n);
    session.run(X.grid.n, [&](Index i, Index) {
      largest[i] = 0;
      for (Index j = 0; j < X.grid.m; ++j)
        if (X.row(i)[j] != absent<S>) largest[i] = std::max(largest[i], std::abs(X.row(i)[j]));
    });
    return {*std::max_element(largest, largest + X.grid.n)};
  }
};

}  // namespace

TEST_CASE("a matrix stage of a user may be replaced by any row stage") {
  using fg::operator|;
  Eigen::MatrixXd x(2, 3);
  x << 1, -4, 2, 3, 8, -1;
  const Eigen::MatrixXd y = x | DivideByLargest{},
                        z = x | fg::top_k(1) | fg::threshold(3) | DivideByLargest{} | fg::relu();
  CHECK(y == x / 8);
  CHECK(z == Eigen::MatrixXd{{0, 0, 0}, {0, 1, 0}});
}

TEST_CASE("pruning stages refuse invalid counts and fractions") {
  CHECK_THROWS_WITH(fg::prune_n_m(0, 4), "filigree: prune_n_m(n, m): n must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::prune_n_m(5, 4), "filigree: prune_n_m(n, m): n = 5 must be at most m = 4");
  CHECK_THROWS_WITH(fg::batch_top_k(0), "filigree: batch_top_k(k): k must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::winner_take_all(0),
                    "filigree: winner_take_all(fraction): fraction must be above 0 and at most 1, got 0");
  CHECK_THROWS_WITH(fg::prune_magnitude(1.5),
                    "filigree: prune_magnitude(fraction): fraction must be between 0 and 1, got 1.5");
  const double nan = nan_of<double>;
  CHECK_THROWS_AS(fg::winner_take_all(1.5), fg::Error);
  CHECK_THROWS_AS(fg::winner_take_all(nan), fg::Error);
  CHECK_THROWS_AS(fg::prune_magnitude(-0.5), fg::Error);
  CHECK_THROWS_AS(fg::prune_magnitude(nan), fg::Error);
}
