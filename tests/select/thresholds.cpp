// SPDX-License-Identifier: MIT
// threshold, hard_threshold, soft_threshold and relu.
#include <cmath>
#include <cstddef>
#include <vector>

#include "after_both.hpp"
#include "catch.hpp"
#include "filigree/select/hard_threshold.hpp"
#include "filigree/select/soft_threshold.hpp"
#include "filigree/select/threshold.hpp"
#include "one_row.hpp"

namespace fg = filigree;

TEMPLATE_TEST_CASE("threshold gives the result of its documentation", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::vector<S> row{S(0.9), S(0.1), S(0.8), S(0.6), S(0.2), S(0.3)};
  const S no = absent<S>;
  CHECK(same(after(fg::threshold(0.5), row), {S(0.9), no, S(0.8), S(0.6), no, no}));
}

TEMPLATE_TEST_CASE("thresholds follow their formulas", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 91;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 500; ++trial) {
    const std::vector<S> row = random_row<S>(g, g.below(40), true);
    const double t = trial % 3 == 0 ? 0 : trial % 3 == 1 ? 1 : std::abs(g.normal());
    const S bound = static_cast<S>(t);
    std::vector<S> larger(row.size(), absent<S>), hard = larger, soft = larger, positive = larger;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const S x = row[c];
      if (x == absent<S>) continue;
      if (x > bound || std::isnan(x)) larger[c] = x;
      if (x > S(0) || std::isnan(x)) positive[c] = x;
      if (x > bound || x < -bound || std::isnan(x)) {
        hard[c] = x;
        soft[c] = x > bound ? x - bound : x + bound;
      }
    }
    CAPTURE(trial, t);
    REQUIRE(same(after_both(fg::threshold(t), row), larger));
    REQUIRE(same(after_both(fg::hard_threshold(t), row), hard));
    REQUIRE(same(after_both(fg::soft_threshold(t), row), soft));
    REQUIRE(same(after_both(fg::relu(), row), positive));
  }
}

TEST_CASE("a finite threshold beyond the range of the scalar keeps only larger values") {
  constexpr float infinity = std::numeric_limits<float>::infinity(), largest = std::numeric_limits<float>::max();
  const std::vector<float> row{infinity, largest, 0, -largest};
  CHECK(OneRow<float>(row).apply(fg::threshold(1e300)).count() == 1);
  CHECK(OneRow<float>(row).apply(fg::hard_threshold(1e300)).count() == 1);
  CHECK(OneRow<float>(row).apply(fg::soft_threshold(1e300)).count() == 1);
  CHECK(OneRow<float>(row).apply(fg::threshold(-1e300)).count() == 4);
  CHECK(OneRow<float>(row).apply(fg::threshold(std::numeric_limits<double>::infinity())).count() == 0);
}

TEST_CASE("a threshold is rounded to the scalar of the scores") {
  CHECK(OneRow<float>({0.1f}).apply(fg::threshold(0.1)).count() == 0);  // 0.1f > 0.1 in double
  CHECK(OneRow<double>({0.1f}).apply(fg::threshold(0.1)).count() == 1);
  CHECK(OneRow<float>({0.1f}).apply(fg::hard_threshold(0.1)).count() == 0);
}

TEMPLATE_TEST_CASE("infinite and negative thresholds", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const double inf = infinity_of<double>;
  const std::vector<S> row{S(-2), S(0), nan_of<S>, infinity_of<S>};
  const S no = absent<S>, nan = nan_of<S>;
  CHECK(same(after(fg::threshold(-inf), row), row));
  CHECK(same(after(fg::threshold(-1), row), {no, S(0), nan, infinity_of<S>}));
  CHECK(same(after(fg::threshold(inf), row), {no, no, nan, no}));
  CHECK(same(after(fg::soft_threshold(inf), row), {no, no, nan, no}));
  CHECK(same(after_dense(fg::threshold(-inf), row), row));
  CHECK(same(after_dense(fg::threshold(inf), row), {no, no, nan, no}));
  CHECK(same(after_dense(fg::hard_threshold(inf), row), {no, no, nan, no}));
  CHECK(same(after_dense(fg::soft_threshold(inf), row), {no, no, nan, no}));
  CHECK_THROWS_WITH(fg::threshold(nan_of<double>), "filigree: threshold(t): t must be a number, got nan");
  CHECK_THROWS_WITH(fg::hard_threshold(-1), "filigree: hard_threshold(t): t must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::soft_threshold(-0.5), "filigree: soft_threshold(t): t must be at least 0, got -0.5");
  CHECK_THROWS_AS(fg::hard_threshold(nan_of<double>), fg::Error);
  CHECK_THROWS_AS(fg::soft_threshold(nan_of<double>), fg::Error);
}
