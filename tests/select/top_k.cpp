// SPDX-License-Identifier: MIT
// top_k and drop_lowest, which use the same ranking, compared with a stable sort.
#include "filigree/select/top_k.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "after_both.hpp"
#include "catch.hpp"
#include "filigree/pipe/weights.hpp"
#include "filigree/select/batch_top_k.hpp"
#include "filigree/select/drop_lowest.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Eigen::Index;

TEMPLATE_TEST_CASE("top_k and drop_lowest keep the first entries of a stable sort", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 71;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 3000; ++trial) {
    const std::vector<S> row = random_row<S>(g, g.below(trial % 20 == 0 ? 1000 : 50), true);
    const auto order = ranking(row);
    const Index k = 1 + g.below(static_cast<Index>(row.size()) + 3);
    CAPTURE(trial, k);
    REQUIRE(same(after_both(fg::top_k(k), row), only(row, order, static_cast<std::size_t>(k))));

    const double fraction = g.below(4) == 0 ? static_cast<double>(g.below(10)) / 10 : g.uniform();
    const auto dropped = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(order.size())));
    CAPTURE(fraction);
    REQUIRE(same(after_both(fg::drop_lowest(fraction), row), only(row, order, order.size() - dropped)));
  }
}

// The bound that is estimated from a sample may be far off: in rows whose values depend on the column with the period
// of the sample, in sorted rows, or if most values are equal, NaN or absent.
TEMPLATE_TEST_CASE("top_k of long dense rows does not depend on the estimate of the bound", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 72;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 400; ++trial) {
    const Index m = trial % 2 == 0 ? 1500 + g.below(600) : 4000 + g.below(1500), kind = trial % 9;
    std::vector<S> row(static_cast<std::size_t>(m));
    const Index period = Index{1} << g.below(10), phase = g.below(period);
    for (Index c = 0; c < m; ++c) {
      const double z = g.normal();
      const bool chosen = c / 4 % period == phase;
      S& x = row[static_cast<std::size_t>(c)];
      x = static_cast<S>(z);
      if (kind == 1) x = static_cast<S>(c);
      if (kind == 2) x = static_cast<S>(-c / 3);
      if (kind == 3) x = static_cast<S>(chosen ? 100 + z : z);
      if (kind == 4) x = static_cast<S>(chosen ? z : 100 + z);
      if (kind == 5) x = chosen ? S(2) : S(1);
      if (kind == 6) x = g.below(3) == 0 ? nan_of<S> : g.below(2) == 0 ? absent<S> : S(0);
      if (kind == 7) x = chosen ? static_cast<S>(z) : absent<S>;
      if (kind == 8) x = std::numeric_limits<S>::denorm_min() * static_cast<S>(g.below(5));
    }
    const auto order = ranking(row);
    const Index k = 1 + (g.below(2) == 0 ? g.below(m) : g.below(40));
    CAPTURE(trial, m, kind, k, period, phase);
    REQUIRE(same(after_dense(fg::top_k(k), row), only(row, order, static_cast<std::size_t>(k))));
    const double fraction = g.uniform();
    const auto dropped = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(order.size())));
    REQUIRE(same(after_dense(fg::drop_lowest(fraction), row), only(row, order, order.size() - dropped)));
  }
}

// Short rows are reduced by the maxima of subsets, and the few values that are left are compared in pairs.
TEMPLATE_TEST_CASE("top_k and batch_top_k of one short row keep the first entries of a stable sort", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 73;
  CAPTURE(seed);
  fg::Generator g(seed);
  constexpr Index sizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 1000, 1023, 1024, 1025};
  for (const Index m : sizes)
    for (int kind = 0; kind < 10; ++kind)
      for (const Index k : {1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 1100}) {
        std::vector<S> row(static_cast<std::size_t>(m));
        const Index special = 1 + g.below(40);
        for (Index c = 0; c < m; ++c) {
          S& x = row[static_cast<std::size_t>(c)];
          x = static_cast<S>(g.normal());
          if (kind == 1) x = static_cast<S>(c);
          if (kind == 2) x = static_cast<S>(-c / 3);
          if (kind == 3 && g.below(m) < special) x = nan_of<S>;
          if (kind == 4 && g.below(m) < special) x = infinity_of<S>;
          if (kind == 5 && g.below(m) >= special) x = absent<S>;
          if (kind == 6) x = static_cast<S>(g.below(3));
          if (kind == 7) x = g.below(3) == 0 ? nan_of<S> : g.below(2) == 0 ? absent<S> : S(-0.0);
          if (kind == 8) x = std::numeric_limits<S>::denorm_min() * static_cast<S>(g.below(5));
          if (kind == 9) x = c % 16 == 3 ? static_cast<S>(100 + c / 40) : x;  // the largest are in one lane
        }
        const auto order = ranking(row);
        CAPTURE(m, kind, k);
        REQUIRE(same(after_dense(fg::top_k(k), row), only(row, order, static_cast<std::size_t>(k))));
        using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
        const Vector x = Eigen::Map<const Vector>(row.data(), m);
        const std::vector<S> expected = only(row, order, static_cast<std::size_t>(k));
        Vector y;
        y = x | fg::batch_top_k(k);
        std::vector<S> got(y.data(), y.data() + m);
        for (Index c = 0; c < m; ++c)
          if (expected[static_cast<std::size_t>(c)] == absent<S>) {
            REQUIRE(y[c] == 0);
            got[static_cast<std::size_t>(c)] = absent<S>;
          }
        REQUIRE(same(got, expected));
      }
}

TEMPLATE_TEST_CASE("top_k handles ties, zeros, NaN and a k above the number of entries", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Row = std::vector<S>;
  const S no = absent<S>, nan = nan_of<S>;
  CHECK(same(after(fg::top_k(2), Row{S(1), S(3), S(3), S(3)}), {no, S(3), S(3), no}));
  CHECK(same(after(fg::top_k(1), Row{S(-0.0), S(0)}), {S(-0.0), no}));
  CHECK(same(after(fg::top_k(2), Row{S(5), nan, infinity_of<S>, S(7)}), {no, nan, infinity_of<S>, no}));
  CHECK(same(after(fg::top_k(1), Row{S(5), nan, nan}), {no, nan, no}));
  CHECK(same(after(fg::top_k(9), Row{S(1), no, S(2)}), {S(1), no, S(2)}));
  CHECK(OneRow<S>({}).apply(fg::top_k(3)).count() == 0);
  CHECK(OneRow<S>({no, no}).apply(fg::top_k(3)).count() == 0);
}

TEMPLATE_TEST_CASE("drop_lowest computes its count in double from the number of present entries", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Row = std::vector<S>;
  const S no = absent<S>, nan = nan_of<S>;
  const auto kept = [](double fraction, std::size_t size) {
    return OneRow<S>(Row(size, S(1))).apply(fg::drop_lowest(fraction)).count();
  };
  CHECK(kept(0.7, 10) == 3);
  CHECK(kept(0.29, 100) == 72);  // 0.29 * 100 = 28.999999999999996
  CHECK(kept(0.5, 5) == 3);
  CHECK(kept(0, 5) == 5);
  CHECK(kept(1, 5) == 0);
  CHECK(kept(1, 0) == 0);
  CHECK(same(after(fg::drop_lowest(0.5), Row{S(1), S(1), no, S(1), S(1)}), {S(1), S(1), no, no, no}));
  CHECK(same(after(fg::drop_lowest(1), Row{S(1), nan, S(2)}), {no, nan, no}));
  CHECK(same(after(fg::drop_lowest(0.7), Row{S(1), nan, S(2)}), {no, nan, no}));
}

TEST_CASE("top_k and drop_lowest refuse invalid arguments") {
  CHECK_THROWS_WITH(fg::top_k(0), "filigree: top_k(k): k must be at least 1, got 0");
  CHECK_THROWS_AS(fg::top_k(-5), fg::Error);
  CHECK_THROWS_WITH(fg::drop_lowest(1.5), "filigree: drop_lowest(fraction): fraction must be between 0 and 1, got 1.5");
  CHECK_THROWS_AS(fg::drop_lowest(-0.1), fg::Error);
  CHECK_THROWS_AS(fg::drop_lowest(nan_of<double>), fg::Error);
}
