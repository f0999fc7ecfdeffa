// SPDX-License-Identifier: MIT
#include "filigree/select/top_p.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "after_both.hpp"
#include "catch.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Truth = long double;

TEMPLATE_TEST_CASE("top_p keeps the fewest scores whose probabilities sum to at least p", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 81;
  CAPTURE(seed);
  fg::Generator g(seed);
  int checked = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const std::vector<S> row = random_row<S>(g, g.below(60), false);
    const auto order = ranking(row);
    const double p = g.below(10) == 0 ? 1 : g.uniform() * 0.999 + 0.0005;
    Truth total = 0;
    for (const std::size_t c : order) total += std::exp(static_cast<Truth>(row[c]) - static_cast<Truth>(row[order[0]]));
    std::size_t kept = 0;
    bool close = false;
    for (Truth sum = 0; kept < order.size() && (kept == 0 || sum < p * total); ++kept) {
      sum += std::exp(static_cast<Truth>(row[order[kept]]) - static_cast<Truth>(row[order[0]]));
      close |= p < 1 && std::abs(sum - p * total) < 1e-12L * total;
    }
    if (close) continue;  // rounding may decide
    ++checked;
    if (p == 1) kept = order.size();
    CAPTURE(trial, p, kept);
    REQUIRE(same(after_both(fg::top_p(p), row), only(row, order, kept)));
  }
  CHECK(checked > 1500);
}

TEMPLATE_TEST_CASE("top_p keeps exactly what its definition says, with sums in double in the order of the ranking", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 82;
  CAPTURE(seed);
  fg::Generator g(seed);
  const Eigen::Index sizes[] = {1, 11, 12, 13, 15, 16, 17, 63, 64, 65, 1000, 3000};
  for (int trial = 0; trial < 1200; ++trial) {
    std::vector<S> row = random_row<S>(g, sizes[trial % 12], trial % 3 == 0);
    const double scale = std::exp2(static_cast<double>(g.below(16)) - 8);
    for (S& x : row) x = std::isnan(x) ? S(0) : static_cast<S>(x * scale);
    const double choices[] = {0.5,   0.25,        0.75,  g.uniform(), 1 - 1e-9 * g.uniform(),
                              1e-12, 1 - 0x1p-53, 0.125, 0.9,         0.99};
    const double p = std::max(choices[g.below(10)], 1e-300);
    const auto order = ranking(row);
    std::vector<double> weights;
    double total = 0;
    for (const std::size_t c : order) {
      weights.push_back(
          row[c] == row[order[0]] ? 1 : std::exp(static_cast<double>(row[c]) - static_cast<double>(row[order[0]])));
      total += weights.back();
    }
    std::size_t kept = 0;
    for (double sum = 0; kept < order.size() && sum < p * total;) sum += weights[kept++];
    CAPTURE(trial, p, kept, scale, row.size());
    REQUIRE(same(after_both(fg::top_p(p), row), only(row, order, kept)));
  }
}

TEMPLATE_TEST_CASE("top_p handles ties, extreme p, NaN and infinity", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Row = std::vector<S>;
  const S no = absent<S>, nan = nan_of<S>, inf = infinity_of<S>;
  CHECK(same(after_both(fg::top_p(0.5), Row{S(2), S(2), no, S(2), S(2)}), {S(2), S(2), no, no, no}));
  CHECK(same(after_both(fg::top_p(0.51), Row{S(2), S(2), no, S(2), S(2)}), {S(2), S(2), no, S(2), no}));
  CHECK(same(after_both(fg::top_p(1e-300), Row{S(1), S(2)}), {no, S(2)}));
  CHECK(same(after_both(fg::top_p(1), Row{S(0), S(-1000)}), {S(0), S(-1000)}));
  CHECK(same(after_both(fg::top_p(0.999), Row{S(0), S(-1000)}), {S(0), no}));
  CHECK(same(after_both(fg::top_p(0.1), Row{S(1), nan, S(3), nan}), {no, nan, no, nan}));
  CHECK(same(after_both(fg::top_p(0.4), Row{inf, S(1), inf}), {inf, no, no}));
  CHECK(same(after_both(fg::top_p(0.6), Row{inf, S(1), inf}), {inf, no, inf}));
  CHECK(OneRow<S>({no, no}).apply(fg::top_p(0.5)).count() == 0);
  CHECK(OneRow<S>({}).apply(fg::top_p(0.5)).count() == 0);
}

TEST_CASE("top_p refuses p outside (0, 1]") {
  CHECK_THROWS_WITH(fg::top_p(0), "filigree: top_p(p): p must be above 0 and at most 1, got 0");
  CHECK_THROWS_AS(fg::top_p(1.01), fg::Error);
  CHECK_THROWS_AS(fg::top_p(nan_of<double>), fg::Error);
}
