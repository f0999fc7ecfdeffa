// SPDX-License-Identifier: MIT
#include "filigree/normalize/softmax.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Truth = long double;

namespace {

template <class S>
void agrees(const std::vector<S>& row, double sink) {
  OneRow<S> one(row);
  one.apply(fg::softmax({.sink = sink}));
  const std::vector<S> got = one.dense(), got_dense = after_dense(fg::softmax({.sink = sink}), row);
  Truth maximum = static_cast<Truth>(static_cast<S>(sink)), sum = 0;
  std::size_t count = 0;
  for (const S s : row) maximum = std::max(maximum, static_cast<Truth>(s));
  for (const S s : row) {
    if (s == absent<S>) continue;
    sum += std::exp(static_cast<Truth>(s) - maximum);
    ++count;
  }
  if (count == 0) {
    CHECK(one.count() == 0);
    CHECK(same(got_dense, row));
    CHECK(one.maximum == static_cast<S>(sink));
    CHECK(one.sum == S(sink > -infinity_of<double> ? 1 : 0));
    return;
  }
  sum += std::exp(static_cast<Truth>(static_cast<S>(sink)) - maximum);

  // Errors: exp within 2 ulp, the rounding of s - maximum, a sum over lanes, its inverse, and a product.
  const Truth eps = std::numeric_limits<S>::epsilon(), least = std::numeric_limits<S>::min();
  const Truth sum_error = eps * (8 + static_cast<Truth>(count));
  CHECK(static_cast<Truth>(one.maximum) == maximum);
  CHECK(std::abs(static_cast<Truth>(one.sum) - sum) <= sum * sum_error);
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (row[c] == absent<S>) {
      CHECK(got[c] == absent<S>);
      CHECK(got_dense[c] == absent<S>);
      continue;
    }
    const Truth difference = static_cast<Truth>(row[c]) - maximum, truth = std::exp(difference) / sum;
    CAPTURE(c, row[c], got[c], got_dense[c], one.sum);
    const Truth bound = truth * (sum_error + eps * std::abs(difference)) + least;
    CHECK(std::abs(static_cast<Truth>(got[c]) - truth) <= bound);
    CHECK(std::abs(static_cast<Truth>(got_dense[c]) - truth) <= bound);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("softmax agrees with long double, with and without a sink", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 31;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 400; ++trial) {
    const std::vector<S> row = random_row<S>(g, g.below(70), false);
    agrees(row, -infinity_of<double>);
    agrees(row, g.normal());
    agrees(row, 60 * g.normal());
  }
  agrees<S>({S(1e30), S(-1e30), S(1e30)}, -infinity_of<double>);
  agrees<S>({S(-1e30), S(-1e30)}, 3);
}

TEMPLATE_TEST_CASE("softmax keeps an empty row empty, and its logsumexp is the sink", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  agrees<S>({}, -infinity_of<double>);
  agrees<S>({}, 1);
  agrees<S>({absent<S>, absent<S>, absent<S>}, 1);
}

TEMPLATE_TEST_CASE("softmax makes a row with NaN or +inf NaN", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  for (const S bad : {nan_of<S>, infinity_of<S>})
    for (const std::size_t at : {0U, 5U, 16U, 32U}) {
      std::vector<S> row(33, S(0.5));
      row[2] = absent<S>;
      row[at] = bad;
      const auto got = after(fg::softmax(), row);
      for (std::size_t c = 0; c < row.size(); ++c) CHECK((c == 2 ? got[c] == absent<S> : std::isnan(got[c])));
    }
}

TEMPLATE_TEST_CASE("a softmax weight that underflows is exactly 0 and stays present", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  CHECK(same(after(fg::softmax(), std::vector<S>{S(0), S(-5000), absent<S>}), {S(1), S(0), absent<S>}));
}

TEST_CASE("softmax refuses a sink that is NaN or +inf") {
  CHECK_THROWS_WITH(fg::softmax({.sink = nan_of<double>}),
                    "filigree: softmax({.sink = b}): b must be finite, or -inf for none, got nan");
  CHECK_THROWS_AS(fg::softmax({.sink = infinity_of<double>}), fg::Error);
}
