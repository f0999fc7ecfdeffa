// SPDX-License-Identifier: MIT
// The kernels of score maps: tanh, softcap, GELU and its approximation against their formulas in long double, and sums
// against the same operations on single numbers.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filigree/kernel/kernels.hpp>
#include <limits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using test::Index;
using Truth = long double;

namespace {

/// Arguments of both signs: evenly spaced up to `range`, and with magnitudes down to 1e-20 * range.
template <class S>
std::vector<S> arguments(double range, int count = 40001) {
  std::vector<S> x;
  for (int i = 0; i < count; ++i) {
    const double t = 2.0 * i / (count - 1) - 1;
    x.push_back(static_cast<S>(range * t));
    x.push_back(static_cast<S>(std::copysign(range * std::pow(10, -20 * std::abs(t)), t)));
  }
  return x;
}

/// The largest error of map(values, count) in units of epsilon times the true value, or times the larger of that and
/// the argument.
template <class S, class Map, class Formula>
double worst(const Map& map, const Formula& formula, double range, bool of_argument = false, int count = 40001) {
  const std::vector<S> x = arguments<S>(range, count);
  std::vector<S> y = x;
  map(y.data(), static_cast<Index>(y.size()));
  Truth worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Truth truth = formula(Truth(x[i])), off = std::abs(Truth(y[i]) - truth);
    const Truth size = of_argument ? std::max(std::abs(truth), std::abs(Truth(x[i]))) : std::abs(truth);
    if (size < 16 * Truth(std::numeric_limits<S>::min())) continue;
    worst = std::max(worst, off / size / Truth(std::numeric_limits<S>::epsilon()));
  }
  return static_cast<double>(worst);
}

Truth gelu(Truth x) { return x * std::erfc(-x / std::sqrt(Truth(2))) / 2; }
Truth gelu_tanh(Truth x) {
  const Truth u = std::sqrt(2 / std::acos(Truth(-1))) * (x + 0.044715L * x * x * x);
  return x / (1 + std::exp(-2 * u));
}

}  // namespace

TEMPLATE_TEST_CASE("tanh and softcap are accurate to a few ulp, near 0 too", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  const auto tanh = [&](S* x, Index n) { kernels.tanh({x, n}, 1, n, false); };
  CHECK(worst<S>(
            tanh, [](Truth x) { return std::tanh(x); }, 25) < 3);
  const auto softcap = [&](S* x, Index n) { kernels.softcap({x, n}, 1, n, S(30), false); };
  CHECK(worst<S>(
            softcap, [](Truth x) { return 30 * std::tanh(x / 30); }, 400) < 4);
}

TEMPLATE_TEST_CASE("gelu keeps its relative accuracy far below 0", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  const auto map = [&](S* x, Index n) { kernels.gelu({x, n}, 1, n, false); };
  for (const double range : {0.7, 1.0, 5.0, sizeof(S) == 4 ? 12.0 : 36.0}) {
    INFO("up to " << range);
    CHECK(worst<S>(map, gelu, range) < 8);
  }
  CHECK(worst<S>(map, gelu, 40, true) < 2);
}

TEMPLATE_TEST_CASE("gelu_tanh is accurate relative to its argument", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  const auto map = [&](S* x, Index n) { kernels.gelu_tanh({x, n}, 1, n, false); };
  CHECK(worst<S>(map, gelu_tanh, 1) < 4);
  CHECK(worst<S>(map, gelu_tanh, 40, true) < 3);
}

TEMPLATE_TEST_CASE("edges of the mapped functions, and arrays of any length", "", float, double) {
  using S = TestType;
  using Limits = std::numeric_limits<S>;
  const auto& kernels = filigree::kernel::kernels<S>();
  constexpr S infinity = Limits::infinity();
  std::vector<S> x = {S(0), S(-0.0), infinity, -infinity, Limits::quiet_NaN(), Limits::max(), Limits::lowest()};
  const auto mapped = [&](const auto& map) {
    std::vector<S> y = x;
    map(y.data(), static_cast<Index>(y.size()));
    return y;
  };
  const auto tanh = mapped([&](S* y, Index n) { kernels.tanh({y, n}, 1, n, false); });
  CHECK(test::same_bits(tanh[0], S(0)));
  CHECK(test::same_bits(tanh[1], S(-0.0)));
  CHECK(tanh[2] == S(1));
  CHECK(tanh[3] == S(-1));
  CHECK(std::isnan(tanh[4]));
  CHECK(tanh[5] == S(1));
  CHECK(tanh[6] == S(-1));
  for (const bool exact : {true, false}) {
    const auto y = mapped([&](S* values, Index n) {
      exact ? kernels.gelu({values, n}, 1, n, false) : kernels.gelu_tanh({values, n}, 1, n, false);
    });
    CHECK(y[0] == S(0));
    CHECK(y[1] == S(0));
    CHECK(y[2] == infinity);
    CHECK(std::isnan(y[4]));
    CHECK(y[5] == Limits::max());
    CHECK(y[6] == S(0));
  }

  const std::vector<S> all = arguments<S>(3);
  for (Index count = 1; count <= 70; ++count) {
    std::vector<S> some(all.begin(), all.begin() + count + 1), one(all.begin(), all.begin() + count);
    kernels.gelu({some.data(), count}, 1, count, false);
    CHECK(some.back() == all[static_cast<std::size_t>(count)]);
    for (S& value : one) kernels.gelu({&value, 1}, 1, 1, false);
    for (std::size_t i = 0; i < one.size(); ++i) REQUIRE(test::same_bits(some[i], one[i]));
  }
}

TEMPLATE_TEST_CASE("softcap is accurate for any cap, on both sides of its range for polynomials", "", float, double) {
  using S = TestType;
  using Limits = std::numeric_limits<S>;
  const auto& kernels = filigree::kernel::kernels<S>();
  for (const double cap : {1e-37, 1e-20, 1e-3, 1.0, 2.5, 50.0, 1e20, 1e37}) {
    INFO("cap " << cap);
    const Truth c = static_cast<S>(cap);
    const auto map = [&](S* x, Index n) { kernels.softcap({x, n}, 1, n, S(cap), false); };
    const auto formula = [&](Truth x) { return c * std::tanh(x / c); };
    for (const double range : {0.1, 0.52, 1.0, 9.0})
      if (range * cap < static_cast<double>(Limits::max())) CHECK(worst<S>(map, formula, range * cap, false, 2001) < 4);
    std::vector<S> x = {S(0), S(-0.0), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), Limits::max()};
    map(x.data(), 6);
    CHECK(test::same_bits(x[0], S(0)));
    CHECK(test::same_bits(x[1], S(-0.0)));
    CHECK(x[2] == S(cap));
    CHECK(x[3] == -S(cap));
    CHECK(std::isnan(x[4]));
    CHECK(std::abs(Truth(x[5]) - formula(Limits::max())) <= 4 * Truth(Limits::epsilon()) * c);
  }
}

namespace {

constexpr Index sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 130, 1000};

/// A tile of random scores whose rows are longer than the tile. Some scores are NaN or infinite.
template <class S>
struct Scores {
  static constexpr S infinity = std::numeric_limits<S>::infinity();
  Index rows, count, stride;
  std::vector<S> values;

  Scores(Index r, Index c, test::Random& random) : rows(r), count(c), stride(c + 3) {
    for (Index i = 0; i < rows * stride; ++i) {
      const bool special = random.chance(0.1);
      const S size = static_cast<S>(random.normal() * std::pow(10, random.between(-3, 2)));
      values.push_back(special ? random.pick({infinity, -infinity, S(0), std::numeric_limits<S>::quiet_NaN()}) : size);
    }
  }
  filigree::kernel::StridedRows<S> tile() { return {values.data(), stride}; }

  /// Requires that map(tile) changes each score x of the tile at (r, c) to expected(x, r, c), and nothing else; a score
  /// of -inf must not change.
  template <class Map, class Expected>
  void require(const Map& map, const Expected& expected) {
    const std::vector<S> before = values;
    map(tile());
    for (Index i = 0; i < rows * stride; ++i) {
      const Index r = i / stride, c = i % stride;
      const S x = before[static_cast<std::size_t>(i)], got = values[static_cast<std::size_t>(i)];
      const S y = c < count && x != -infinity ? expected(x, r, c) : x;
      if (std::isnan(y) ? std::isnan(got) : test::same_bits(y, got)) continue;
      CAPTURE(rows, count, r, c, x, y, got);
      FAIL("a score differs");
    }
    SUCCEED();
    values = before;
  }
};

}  // namespace

TEMPLATE_TEST_CASE("each score of a tile is mapped as if it were alone, and -inf stays -inf", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  test::Random random(72);
  for (const Index count : sizes) {
    for (const Index rows : {1, 5}) {
      Scores<S> scores(rows, count, random);
      const auto check = [&](const auto& kernel) {
        scores.require([&](auto tile) { kernel(tile, rows, count, true); },
                       [&](S x, Index, Index) {
                         kernel(filigree::kernel::StridedRows<S>{&x, 1}, 1, 1, false);
                         return x;
                       });
      };
      check(kernels.sigmoid);
      check(kernels.tanh);
      check(kernels.gelu);
      check(kernels.gelu_tanh);
      for (const S cap : {S(1e-3), S(3), S(50), S(1e37)})
        check([&](auto tile, Index n, Index m, bool keeps) { kernels.softcap(tile, n, m, cap, keeps); });
    }
  }
}

TEMPLATE_TEST_CASE("matrices and tables are added as numbers are", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  test::Random random(73);
  for (const Index count : sizes) {
    for (const Index rows : {1, 6, 17, 40}) {
      Scores<S> scores(rows, count, random);
      const Index n = rows + 2, m = count + 2;
      Scores<S> b(3 * n * m, 1, random);  // NaN and infinities, too
      const auto at = [&](Index i) { return b.values[static_cast<std::size_t>(i)]; };
      const std::pair<Index, Index> strides[] = {{m, 1}, {1, n}, {3 * m, 3}, {0, 0}};
      for (const auto& [row, column] : strides)
        scores.require(
            [&, r = row, c = column](auto tile) {
              kernels.add_matrix(tile, rows, count, {&b.values[1], r}, c);
            },
            [&, dr = row, dc = column](S x, Index r, Index c) { return x + at(1 + r * dr + c * dc); });
      for (const Index size : {Index(1), Index(3), Index(9), Index(65), 2 * (rows + count) + 1})
        for (const Index first : {-count - size, -count / 2, Index(0), size / 2, size - 1, size + rows})
          for (const Index step : {1, 2})
            if (size * step <= 12 * n * m)
              scores.require(
                  [&](auto tile) { kernels.add_diagonals(tile, rows, count, b.values.data(), step, size, first); },
                  [&](S x, Index r, Index c) { return x + at(std::clamp<Index>(first - r + c, 0, size - 1) * step); });
    }
  }
}

TEMPLATE_TEST_CASE("distances are subtracted exactly, also far from 0", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  test::Random random(74);
  for (const Index count : sizes)
    for (const Index rows : {1, 6, 17})
      for (const Index first : {Index(0), -count / 2, rows, Index(-70000), Index(1) << 26, (Index(1) << 31) - 300,
                                -(Index(1) << 31), Index(1) << 40})
        for (const double slope : {0.1, -3.0, 0.0, 1e30, -1e36})
          Scores<S>(rows, count, random)
              .require([&](auto tile) { kernels.subtract_distances(tile, rows, count, S(slope), first); },
                       [&](S x, Index r, Index c) {
                         const S distance = static_cast<S>(std::abs(first - r + c));
                         const volatile S factor = -S(slope);  // else the compiler subtracts slope * distance
                         return kernels.fused() ? std::fma(factor, distance, x) : factor * distance + x;
                       });
}

TEMPLATE_TEST_CASE("a tile reports absent scores wherever they are", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  for (const Index count : sizes) {
    const Index rows = 3, stride = count + 2;
    std::vector<S> values(static_cast<std::size_t>(rows * stride), S(-1));
    for (std::size_t i = 0; i < values.size(); i += 3) values[i] = i % 2 == 0 ? Scores<S>::infinity : std::nan("");
    for (Index r = 0; r < rows; ++r) values[static_cast<std::size_t>(r * stride + count)] = -Scores<S>::infinity;
    const auto any = [&] { return kernels.any_absent({values.data(), stride}, rows, count); };
    REQUIRE_FALSE(any());
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < count; ++c) {
        S& value = values[static_cast<std::size_t>(r * stride + c)];
        const S before = std::exchange(value, -Scores<S>::infinity);
        if (!any()) FAIL("row " << r << ", column " << c << " of " << count);
        value = before;
      }
  }
}
