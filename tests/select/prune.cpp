// SPDX-License-Identifier: MIT
// prune_n_m and the matrix stages, compared with stable sorts.
#include <cmath>
#include <cstddef>
#include <vector>

#include "catch.hpp"
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

TEMPLATE_TEST_CASE("prune_n_m keeps the n largest magnitudes of each m columns", "", float, double) {
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
    OneRow<S> one(row);
    one.apply(fg::prune_n_m(n, m));
    CAPTURE(trial, n, m);
    REQUIRE(same(one.dense(), expected));
    REQUIRE(one.ascends());
    REQUIRE(same(after_dense(fg::prune_n_m(n, m), row), expected));
  }
  const S no = absent<S>;
  CHECK(same(after(fg::prune_n_m(2, 4), std::vector<S>{S(1), S(-3), S(2), S(-1), no, S(1), S(1), S(-1), S(5)}),
             {no, S(-3), S(2), no, no, S(1), S(1), no, S(5)}));
}

TEMPLATE_TEST_CASE("winner_take_all keeps a fraction of each column, the largest values", "", float, double) {
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
    const Rows<S> got = matrix_after(fg::winner_take_all(fraction), rows);
    for (std::size_t i = 0; i < rows.size(); ++i) REQUIRE(same(got[i], expected[i]));
  }
}

TEMPLATE_TEST_CASE("prune_magnitude and batch_top_k rank all entries together", "", float, double) {
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
    REQUIRE(
        same(flat(matrix_after(fg::prune_magnitude(fraction), rows)), only(all, by_size, by_size.size() - dropped)));
    REQUIRE(same(flat(matrix_after(fg::batch_top_k(k), rows)),
                 only(all, by_value, static_cast<std::size_t>(k) * rows.size())));
  }
}

TEMPLATE_TEST_CASE("matrix stages give known results for small matrices", "", float, double) {
  using S = TestType;
  const S no = absent<S>, nan = nan_of<S>;
  const Rows<S> rows{{S(1), S(-5), S(2)}, {S(4), S(2), S(2)}};
  CHECK(matrix_after(fg::batch_top_k(1), rows) == Rows<S>{{no, no, S(2)}, {S(4), no, no}});
  CHECK(matrix_after(fg::batch_top_k(std::numeric_limits<Index>::max()), rows) == rows);
  CHECK(matrix_after(fg::prune_magnitude(0.5), rows) == Rows<S>{{no, S(-5), S(2)}, {S(4), no, no}});
  CHECK(matrix_after(fg::prune_magnitude(0), rows) == rows);
  CHECK(matrix_after(fg::prune_magnitude(1), rows) == Rows<S>{{no, no, no}, {no, no, no}});
  CHECK(matrix_after(fg::winner_take_all(0.5), rows) == Rows<S>{{no, no, S(2)}, {S(4), S(2), no}});
  CHECK(matrix_after(fg::winner_take_all(0.01), rows) == Rows<S>{{no, no, S(2)}, {S(4), S(2), no}});
  CHECK(matrix_after(fg::winner_take_all(1), rows) == rows);
  const auto pruned = matrix_after(fg::prune_magnitude(1), Rows<S>{{S(1), nan}});
  CHECK(same(pruned[0], {no, nan}));
  CHECK(matrix_after(fg::batch_top_k(3), Rows<S>{}).empty());
  CHECK(matrix_after(fg::winner_take_all(0.5), Rows<S>{{}, {}}) == Rows<S>{{}, {}});
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
