// SPDX-License-Identifier: MIT
#include "filigree/normalize/normalize_sum.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "after_both.hpp"
#include "catch.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Truth = long double;

TEMPLATE_TEST_CASE("normalize_sum divides scores by their sum", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 51;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 1000; ++trial) {
    const std::vector<S> row = random_row<S>(g, trial % 10 == 0 ? 1000 : g.below(70), false),
                         got = after_both(fg::normalize_sum(), row);
    Truth sum = 0, magnitudes = 0;
    for (const S s : row) {
      if (s == absent<S>) continue;
      sum += static_cast<Truth>(s);
      magnitudes += std::abs(static_cast<Truth>(s));
    }
    // A bound on the error of the sum. The relative error of a quotient is at most error / |sum| plus rounding.
    const Truth error = 1.2e-16L * static_cast<Truth>(row.size()) * magnitudes;
    if (std::abs(sum) <= 4 * error) continue;
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (row[c] == absent<S>) {
        CHECK(got[c] == absent<S>);
        continue;
      }
      const Truth truth = static_cast<Truth>(row[c]) / sum;
      CAPTURE(c, row[c], got[c]);
      CHECK(std::abs(static_cast<Truth>(got[c]) - truth) <=
            std::abs(truth) * (2 * error / std::abs(sum) + static_cast<Truth>(std::numeric_limits<S>::epsilon())));
    }
  }
}

TEMPLATE_TEST_CASE("normalize_sum handles sums that are zero, NaN or infinite", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Row = std::vector<S>;
  const S no = absent<S>, nan = nan_of<S>;
  const auto normalized = [](const Row& row) { return after_both(fg::normalize_sum(), row); };
  CHECK(same(normalized({S(3), no, S(1)}), {S(0.75), no, S(0.25)}));
  CHECK(same(normalized({S(-3), S(1)}), {S(1.5), S(-0.5)}));
  CHECK(same(normalized({S(0), S(2)}), {S(0), S(1)}));  // a score of 0 is present, with a weight of 0
  CHECK(same(normalized({S(2), S(-2)}), {no, no}));
  CHECK(same(normalized({S(0), S(0)}), {no, no}));
  CHECK(same(normalized({}), {}));
  CHECK(same(normalized({S(1), nan, no}), {nan, nan, no}));
  CHECK(same(normalized({S(1), infinity_of<S>, no}), {nan, nan, no}));
}

TEST_CASE("normalize_sum sums floats in double") {
  std::vector<float> row(10001, 1.f);
  row[0] = 1e9f;
  const auto got = after_both(fg::normalize_sum(), row);
  CHECK(got[1] == static_cast<float>(1 / (1e9 + 1e4)));
}
