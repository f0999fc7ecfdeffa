// SPDX-License-Identifier: MIT
// The kernels of tanh, softcap, GELU and its approximation against their formulas in long double.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filigree/kernel/kernels.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using test::Index;
using Truth = long double;

namespace {

/// Arguments of both signs: evenly spaced up to `range`, and with magnitudes down to 1e-20 * range.
template <class S>
std::vector<S> arguments(double range) {
  constexpr int count = 40001;
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
double worst(const Map& map, const Formula& formula, double range, bool of_argument = false) {
  const std::vector<S> x = arguments<S>(range);
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
