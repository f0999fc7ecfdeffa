// SPDX-License-Identifier: MIT
// sparsemax is compared with the optimality conditions of the projection onto the simplex, entmax15 and entmax with a
// bisection for their threshold.
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "after_both.hpp"
#include "catch.hpp"
#include "filigree/normalize/entmax.hpp"
#include "filigree/normalize/entmax15.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/normalize/sparsemax.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Truth = long double;

namespace {

template <class S>
Truth largest(const std::vector<S>& row) {
  Truth maximum = -std::numeric_limits<Truth>::infinity();
  for (const S s : row) maximum = std::max(maximum, static_cast<Truth>(s));
  return maximum;
}

// A bound on the rounding error of a weight in S and of sums of up to m numbers of magnitude 1 in double.
template <class S>
Truth slack(const std::vector<S>& row) {
  return 4 * static_cast<Truth>(std::numeric_limits<S>::epsilon()) + 4e-16L * static_cast<Truth>(row.size());
}

template <class S>
void sparsemax_is_nearest(const std::vector<S>& row) {
  const std::vector<S> got = after_both(fg::sparsemax(), row);
  const Truth top = largest(row), error = slack(row);
  Truth sum = 0, tau = 0;
  bool any = false;
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (got[c] == absent<S>) continue;
    REQUIRE(row[c] != absent<S>);
    REQUIRE(got[c] > S(0));
    sum += static_cast<Truth>(got[c]);
    if (static_cast<Truth>(row[c]) == top) tau = -static_cast<Truth>(got[c]);  // relative to the maximum
    any = true;
  }
  REQUIRE(any);
  CHECK(std::abs(sum - 1) <= error * static_cast<Truth>(row.size()));
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (row[c] == absent<S>) continue;
    const Truth s = static_cast<Truth>(row[c]) - top;
    CAPTURE(c, row[c], got[c], static_cast<double>(tau));
    if (got[c] == absent<S>)
      CHECK(s <= tau + error);
    else
      CHECK(std::abs(s - tau - static_cast<Truth>(got[c])) <= error);
  }
}

template <class S>
void entmax15_by_bisection(const std::vector<S>& row) {
  const std::vector<S> got = after_both(fg::entmax15(), row);
  const Truth top = largest(row);
  const auto weight = [&](S s, Truth tau) {
    const Truth above = (static_cast<Truth>(s) - top) / 2 - tau;
    return above > 0 ? above * above : 0;
  };
  Truth low = -1, high = 0;
  for (int step = 0; step < 80; ++step) {
    const Truth tau = (low + high) / 2;
    Truth sum = 0;
    for (const S s : row)
      if (s != absent<S>) sum += weight(s, tau);
    (sum >= 1 ? low : high) = tau;
  }
  const Truth error = slack(row);
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (row[c] == absent<S>) {
      CHECK(got[c] == absent<S>);
      continue;
    }
    const Truth above = (static_cast<Truth>(row[c]) - top) / 2 - low;
    CAPTURE(c, row[c], got[c], static_cast<double>(low));
    if (above < -1e-13L * static_cast<Truth>(row.size())) CHECK(got[c] == absent<S>);
    if (above > 1e-13L * static_cast<Truth>(row.size())) CHECK(got[c] > S(0));
    if (got[c] != absent<S>)
      CHECK(std::abs(static_cast<Truth>(got[c]) - weight(row[c], low)) <=
            error * (weight(row[c], low) + std::sqrt(weight(row[c], low)) / 8 + error));
  }
}

// Returns the weights of entmax(alpha), by bisection for tau in long double.
template <class S>
std::vector<Truth> bisected(const std::vector<S>& row, Truth alpha) {
  const Truth top = largest(row);
  const auto weight = [&](S s, Truth tau) -> Truth {
    const Truth above = (alpha - 1) * (static_cast<Truth>(s) - top) - tau;
    return s != absent<S> && above > 0 ? std::pow(above, 1 / (alpha - 1)) : 0;
  };
  Truth low = -1, high = 0;
  for (int step = 0; step < 80; ++step) {
    const Truth tau = (low + high) / 2;
    Truth sum = 0;
    for (const S s : row) sum += weight(s, tau);
    (sum >= 1 ? low : high) = tau;
  }
  std::vector<Truth> weights;
  for (const S s : row) weights.push_back(weight(s, low));
  return weights;
}

template <class S>
void entmax_by_bisection(const std::vector<S>& row, double alpha) {
  const std::vector<S> got = after_both(fg::entmax(alpha), row);
  const std::vector<Truth> expected = bisected(row, static_cast<Truth>(alpha));
  const Truth power = 1 / (static_cast<Truth>(alpha) - 1), error = slack(row);
  for (std::size_t c = 0; c < row.size(); ++c) {
    CAPTURE(alpha, c, row[c], got[c], static_cast<double>(expected[c]));
    const Truth w = got[c] == absent<S> ? 0 : static_cast<Truth>(got[c]);
    REQUIRE((row[c] != absent<S> || got[c] == absent<S>));
    REQUIRE((got[c] == absent<S> || w > 0));
    // An error e of the difference from tau changes a weight w by about e * power * w^(1 - 1 / power).
    CHECK(std::abs(w - expected[c]) <= error * (expected[c] + 4 * std::pow(expected[c], 1 - 1 / power) * power) +
                                           std::pow(4e-16L * static_cast<Truth>(row.size()), power) +
                                           static_cast<Truth>(std::numeric_limits<S>::denorm_min()));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("entmax agrees with bisection on random rows", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 42;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 24; ++trial) {
    std::vector<S> row = random_row<S>(g, 1 + g.below(trial % 10 == 0 ? 1000 : 40), false);
    const double scale = std::exp2(static_cast<double>(g.below(12)) - 6);
    bool any = false;
    for (S& x : row) {
      x = static_cast<S>(x * scale);
      any |= x != absent<S>;
    }
    if (!any) continue;
    for (const double alpha : {1.05, 1.25, 4.0 / 3, 1.5, 1.9, 2.0}) entmax_by_bisection(row, alpha);
  }
}

TEMPLATE_TEST_CASE("entmax(alpha) equals softmax, entmax15 and sparsemax for alpha near 1, 1.5 and 2", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::vector<S> row = {S(0.5), S(-1), absent<S>, S(2), S(1.75), S(0)};
  const auto near = [&](const auto& got, const auto& expected, double margin) {
    for (std::size_t c = 0; c < row.size(); ++c)
      CHECK((got[c] == expected[c] || std::abs(static_cast<double>(got[c] - expected[c])) <= margin));
  };
  const double rounding = 4 * static_cast<double>(std::numeric_limits<S>::epsilon());
  near(after(fg::entmax(1.5), row), after(fg::entmax15(), row), rounding);
  near(after(fg::entmax(2), row), after(fg::sparsemax(), row), rounding);
  near(after(fg::entmax(1 + 1e-9), row), after(fg::softmax(), row), 1e-8 + rounding);
  near(after(fg::entmax(1 + 0x1p-52), row), after(fg::softmax(), row), rounding);
  const S huge = std::numeric_limits<S>::max();
  for (const double alpha : {1 + 0x1p-52, 1.01, 1.5, 2.0}) {
    CHECK(same(after_both(fg::entmax(alpha), std::vector<S>{S(7), S(7), S(7), S(7)}), std::vector<S>(4, S(0.25))));
    CHECK(same(after_both(fg::entmax(alpha), std::vector<S>{huge, -huge, huge}), {S(0.5), absent<S>, S(0.5)}));
    CHECK(same(after_both(fg::entmax(alpha), std::vector<S>{S(-5)}), {S(1)}));
  }
}

TEST_CASE("entmax refuses alpha outside (1, 2]") {
  for (const double bad : {1.0, 0.5, 2.1, -1.5, static_cast<double>(nan_of<float>)})
    CHECK_THROWS_AS(fg::entmax(bad), fg::Error);
  CHECK_THROWS_WITH(fg::entmax(1),
                    "filigree: entmax(alpha): alpha must be above 1, which is softmax(), and at most 2, got 1");
}

TEMPLATE_TEST_CASE("sparsemax and entmax15 are exact on random rows", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::uint64_t seed = 41;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 600; ++trial) {
    std::vector<S> row = random_row<S>(g, 1 + g.below(trial % 10 == 0 ? 3000 : 40), false);
    const double scale = std::exp2(static_cast<double>(g.below(12)) - 6);
    bool any = false;
    for (S& x : row) {
      x = static_cast<S>(x * scale);
      any |= x != absent<S>;
    }
    if (!any) continue;
    sparsemax_is_nearest(row);
    entmax15_by_bisection(row);
  }
}

TEMPLATE_TEST_CASE("sparsemax and entmax15 are exact on rows that need many steps", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  std::vector<std::vector<S>> rows;
  for (const double base : {0.5, 0.75, 0.9, 0.99, 0.999}) {  // each step from below drops few of these scores
    std::vector<S> near(800), above(800);
    double power = 1;
    for (std::size_t i = 0; i < near.size(); ++i, power *= base) {
      near[i] = static_cast<S>(-power);
      above[i] = static_cast<S>(power - 1);
    }
    rows.push_back(near);
    rows.push_back(above);
  }
  for (const std::size_t m : {15U, 16U, 17U, 63U, 64U, 65U, 4096U}) {
    rows.emplace_back(m, S(-3));
    std::vector<S> slope(m);
    for (std::size_t i = 0; i < m; ++i) slope[i] = static_cast<S>(static_cast<double>(i) / static_cast<double>(m));
    rows.push_back(slope);
  }
  for (const auto& row : rows) {
    sparsemax_is_nearest(row);
    entmax15_by_bisection(row);
  }
}

TEMPLATE_TEST_CASE("sparsemax and entmax15 give known weights for small rows", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Row = std::vector<S>;
  const S no = absent<S>;
  CHECK(same(after_both(fg::sparsemax(), Row{S(0.5), S(0.25), S(-2)}), {S(0.625), S(0.375), no}));
  CHECK(
      same(after_both(fg::sparsemax(), Row{S(3), S(2), no}), {S(1), no, no}));  // a gap of exactly 1: the second gets 0
  CHECK(same(after_both(fg::sparsemax(), Row{S(7), S(7), S(7), S(7)}), Row(4, S(0.25))));
  CHECK(same(after_both(fg::entmax15(), Row{S(7), S(7), S(7), S(7)}), Row(4, S(0.25))));
  CHECK(same(after_both(fg::entmax15(), Row{S(3), S(1)}), {S(1), no}));  // a gap of exactly 2
  const S huge = std::numeric_limits<S>::max();
  CHECK(same(after_both(fg::sparsemax(), Row{huge, -huge, huge}), {S(0.5), no, S(0.5)}));
  CHECK(same(after_both(fg::entmax15(), Row{huge, -huge, -huge}), {S(1), no, no}));
  CHECK(same(after_both(fg::sparsemax(), Row{S(-5)}), {S(1)}));
  CHECK(same(after_both(fg::entmax15(), Row{S(-5)}), {S(1)}));
  // z = (0, -1/5): tau = -0.7 gives 0.49 + 0.25 < 1; tau = -0.8 gives 0.64 + 0.36 = 1.
  const auto fifths = after_both(fg::entmax15(), Row{S(0.4), S(0)});
  CHECK(fifths[0] == Approx(0.64));
  CHECK(fifths[1] == Approx(0.36));
}

TEMPLATE_TEST_CASE("sparse normalizers keep empty rows empty and make rows with NaN or +inf NaN", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const auto each = [](const auto& stage) {
    CHECK(OneRow<S>({}).apply(stage).count() == 0);
    CHECK(OneRow<S>({absent<S>, absent<S>}).apply(stage).count() == 0);
    for (const S bad : {nan_of<S>, infinity_of<S>}) {
      CHECK(same(after_both(stage, std::vector<S>{S(1), bad, absent<S>, S(-100)}),
                 {nan_of<S>, nan_of<S>, absent<S>, nan_of<S>}));
      CHECK(same(after_both(stage, std::vector<S>{bad}), {nan_of<S>}));
    }
  };
  each(fg::sparsemax());
  each(fg::entmax15());
  each(fg::entmax(1.3));
}
