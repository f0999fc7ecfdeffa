// SPDX-License-Identifier: MIT
#include "filigree/normalize/dropout.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "catch.hpp"
#include "filigree/pipe/pipe.hpp"
#include "filigree/select/threshold.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Eigen::Index;

TEMPLATE_TEST_CASE("the dropped weights depend only on the seed and the two positions", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const double p = 0.3;
  const S scale = static_cast<S>(1 / 0.7);
  Index kept = 0, total = 0;
  for (const fg::Grid grid : {fg::Grid{40, 50, 10, 0}, fg::Grid{7, 30, -3, -20}})
    for (Index i = 0; i < grid.n; ++i) {
      std::vector<S> row(static_cast<std::size_t>(grid.m), S(0.5));
      row[3] = absent<S>;
      const auto got = OneRow<S>(row, grid, i).apply(fg::dropout(p, 9)).dense();
      for (std::size_t c = 0; c < row.size(); ++c) {
        const Index j = grid.key_at + static_cast<Index>(c);
        const bool stays = c != 3 && fg::uniform_at(9, grid.query_at + i, j) >= p;
        CHECK(got[c] == (stays ? S(0.5) * scale : absent<S>));
        kept += stays ? 1 : 0;
        ++total;
      }
    }
  CHECK(static_cast<double>(kept) / static_cast<double>(total) == Approx(0.7).margin(0.05));
}

TEMPLATE_TEST_CASE("dropout of lists and of dense rows draws random_bits for every length and position", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 0x123456789ABCDEF;
  fg::Generator g(5);
  const Index two32 = Index{1} << 32;
  for (const Index m : {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000})
    for (const Index key_at : {Index{0}, Index{-20}, two32 - 9, -two32 - 500, 3 * two32 + 11, -7 * two32 - 3})
      for (const double p : {0.1, 0.5, 1 - 0x1p-20}) {
        const fg::Grid grid{3, m, -two32 + key_at, key_at};
        const std::vector<S> row = random_row<S>(g, m, true);
        const S scale = static_cast<S>(1 / (1 - p));
        std::vector<S> expected = row;
        for (std::size_t c = 0; c < row.size(); ++c) {
          const bool stays = fg::uniform_at(seed, grid.query_at + 2, key_at + static_cast<Index>(c)) >= p;
          if (row[c] == absent<S>) continue;
          expected[c] = stays || std::isnan(row[c]) ? row[c] * scale : absent<S>;
        }
        CAPTURE(m, key_at, p);
        REQUIRE(same(after_dense(fg::dropout(p, seed), row, grid, 2), expected));
        OneRow<S> one(row, grid, 2);
        one.apply(fg::dropout(p, seed));
        REQUIRE(same(one.dense(), expected));
        REQUIRE(one.ascends());
      }
}

TEMPLATE_TEST_CASE("dropout is exact where the probability equals a random number", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const fg::Grid grid{1, 40, 6, 100};
  const std::vector<S> row(40, S(1));
  for (const std::size_t c : {0U, 3U, 17U, 39U}) {
    const double u = fg::uniform_at(77, 6, 100 + static_cast<Index>(c));
    for (const double p : {u, std::nextafter(u, 0.0), std::nextafter(u, 1.0)}) {
      std::vector<S> expected(row.size(), absent<S>);
      for (std::size_t i = 0; i < row.size(); ++i)
        if (fg::uniform_at(77, 6, 100 + static_cast<Index>(i)) >= p) expected[i] = static_cast<S>(1 / (1 - p));
      CHECK((expected[c] == absent<S>) == (p > u));
      CHECK(same(after_dense(fg::dropout(p, 77), row, grid), expected));
      CHECK(same(OneRow<S>(row, grid).apply(fg::dropout(p, 77)).dense(), expected));
    }
  }
}

TEMPLATE_TEST_CASE("dropout with p = 0, with empty rows and with NaN", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::vector<S> row{S(1), absent<S>, S(-2), S(3)};
  CHECK(same(after(fg::dropout(0, 1), row), row));
  CHECK(OneRow<S>({}).apply(fg::dropout(0.5, 1)).count() == 0);
  // NaN is never dropped.
  const std::vector<S> broken(50, nan_of<S>);
  CHECK(same(after(fg::dropout(0.99, 1), broken), broken));
  std::vector<S> mixed(50, S(1));
  mixed[20] = nan_of<S>;
  CHECK(std::isnan(after(fg::dropout(0.999999, 1), mixed)[20]));
}

TEMPLATE_TEST_CASE("dropout of a matrix draws the same numbers in every layout", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Rows = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Columns = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
  fg::Generator g(11);
  for (const Index n : {0, 1, 3, 40})
    for (const Index m : {0, 1, 2, 15, 16, 17, 33, 64, 65, 1100})
      for (const double p : {0.0, 0x1p-40, 0.3, 1 - 0x1p-35}) {
        Rows x(n, m), expected(n, m), after_relu(n, m);
        const S scale = static_cast<S>(1 / (1 - p));
        for (Index i = 0; i < n; ++i) {
          const std::vector<S> row = random_row<S>(g, m, true);
          for (Index c = 0; c < m; ++c) {
            const S value = x(i, c) = row[static_cast<std::size_t>(c)];
            const bool stays = std::isnan(value) || fg::uniform_at(3, m - n + i, c) >= p;
            const S product = value * scale;  // may overflow to -inf, which is absent
            expected(i, c) = stays && product != absent<S> ? product : S(0);
            after_relu(i, c) = stays && !(value <= 0) ? product : S(0);
          }
        }
        CAPTURE(n, m, p);
        const auto equal = [&](const auto& got, const Rows& truth) {
          const Rows r = got;
          for (Index i = 0; i < n; ++i)
            for (Index c = 0; c < m; ++c)
              if (!(r(i, c) == truth(i, c) || (std::isnan(r(i, c)) && std::isnan(truth(i, c))))) return false;
          return r.rows() == n && r.cols() == m;
        };
        const Columns by_columns = x;
        Rows wide = Rows::Constant(n, m + 3, S(7));
        wide.leftCols(m) = x;
        Rows rows;
        Columns columns;
        const auto drop = fg::dropout(p, 3);
        REQUIRE(equal(rows = x | drop, expected));
        REQUIRE(equal(columns = x | drop, expected));
        REQUIRE(equal(rows = by_columns | drop, expected));
        REQUIRE(equal(columns = by_columns | drop, expected));
        REQUIRE(equal(rows = wide.leftCols(m) | drop, expected));
        if (n > 0) {  // columns of a matrix without rows have no address
          Rows target = Rows::Constant(n, m + 5, S(9));
          target.leftCols(m) = wide.leftCols(m) | drop;
          REQUIRE(equal(target.leftCols(m), expected));
          REQUIRE((target.rightCols(5).array() == S(9)).all());
        }
        REQUIRE(equal(rows = x | fg::relu() | drop, after_relu));
        REQUIRE(equal(columns = by_columns | fg::relu() | drop, after_relu));
        rows = x;
        rows = rows | drop;
        REQUIRE(equal(rows, expected));
      }
}

TEST_CASE("dropout refuses p outside [0, 1)") {
  CHECK_THROWS_WITH(fg::dropout(1, 0), "filigree: dropout(p, seed): p must be at least 0 and below 1, got 1");
  CHECK_THROWS_AS(fg::dropout(-0.1, 0), fg::Error);
  CHECK_THROWS_AS(fg::dropout(nan_of<double>, 0), fg::Error);
}
