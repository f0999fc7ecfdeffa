// SPDX-License-Identifier: MIT
// Compares the softmax kernel and the logistic function with long double.
#include <bit>
#include <cmath>
#include <cstdint>
#include <filigree/kernel/kernels.hpp>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using test::Index;
using test::Random;

namespace {

constexpr double none = -std::numeric_limits<double>::infinity();

template <class S>
filigree::kernel::LogSumExp<S> softmax(std::vector<S>& w, double sink = none) {
  const Index count = static_cast<Index>(w.size());
  w.resize(w.size() + 32, S(99));
  const auto sums = filigree::kernel::kernels<S>().softmax(w.data(), count, static_cast<S>(sink));
  w.resize(static_cast<std::size_t>(count));
  return sums;
}

/// Returns exp(x) for x <= 0 as the kernel computes it: the weight of x in a softmax over {0, x}, times the sum.
template <class S>
S kernel_exp(S x) {
  std::vector<S> w{S(0), x};
  const S sum = softmax(w).sum;
  return w[1] * sum;
}

}  // namespace

TEMPLATE_TEST_CASE("the exponential is within a few ulp over its range", "", float, double) {
  using S = TestType;
  const S least = sizeof(S) == 4 ? S(-87.3365) : S(-708.396);
  long double worst = 0;
  for (int i = 0; i <= 200000; ++i) {
    const S x = least * static_cast<S>(i) / S(200000);
    const long double exact = std::exp(static_cast<long double>(x));
    const long double error = std::abs(kernel_exp(x) - exact) / exact / std::numeric_limits<S>::epsilon();
    worst = std::max(worst, error);
  }
  INFO("worst " << static_cast<double>(worst) << " eps");
  CHECK(worst < 3.5L);  // 2 ulp for the exponential, plus half an ulp each for the division and the product
}

TEMPLATE_TEST_CASE("the exponential handles zeros, underflow and NaN", "", float, double) {
  using S = TestType;
  using Limits = std::numeric_limits<S>;
  CHECK(kernel_exp(S(0)) == S(1));
  CHECK(kernel_exp(S(-0.0)) == S(1));
  CHECK(kernel_exp(-Limits::denorm_min()) == S(1));
  CHECK(kernel_exp(-Limits::min()) == S(1));
  for (const S x : {S(-1000), Limits::lowest(), S(-87.5) * (sizeof(S) == 4 ? 1 : 10)}) {
    INFO(x);
    CHECK(test::same_bits(kernel_exp(x), S(0)));  // never a denormal
  }
  std::vector<S> absent{S(0), -Limits::infinity()};  // an absent score stays absent and adds nothing
  CHECK(softmax(absent).sum == S(1));
  CHECK(absent == std::vector<S>{S(1), -Limits::infinity()});
  CHECK(std::isnan(kernel_exp(Limits::quiet_NaN())));
  using Bits = std::conditional_t<sizeof(S) == 4, std::uint32_t, std::uint64_t>;
  for (const Bits payload : {Bits(1), Bits(5), Bits(255)})  // the low bits must not change the exponent
    CHECK(std::isnan(
        kernel_exp(std::bit_cast<S>(static_cast<Bits>(std::bit_cast<Bits>(Limits::quiet_NaN()) | payload)))));
}

TEMPLATE_TEST_CASE("softmax sums to 1 and agrees with long double", "", float, double) {
  using S = TestType;
  Random random(111);
  for (int number = 0; number < 1500; ++number) {
    const Index count = random.between(1, random.chance(0.1) ? 3000 : 100);
    const double size = random.pick({0.0, 1e-6, 1.0, 10.0, 300.0, 1e6}), at = random.pick({0.0, 0.0, -1e4, 1e4});
    const double sink = random.chance(0.3) ? at + size * random.normal() : none;
    std::vector<S> w(static_cast<std::size_t>(count));
    for (S& x : w) x = static_cast<S>(at + size * random.normal());
    const std::vector<S> in = w;
    const auto sums = softmax(w, sink);

    long double top = static_cast<S>(sink), total = 0;
    for (const S x : in) top = std::max<long double>(top, x);
    for (const S x : in) total += std::exp(x - top);
    total += std::exp(static_cast<S>(sink) - top);
    CHECK(sums.maximum == static_cast<S>(top));
    const long double eps = std::numeric_limits<S>::epsilon();
    REQUIRE(std::abs(sums.sum - total) <= total * eps * (static_cast<long double>(count) + 4));
    for (std::size_t i = 0; i < in.size(); ++i) {
      const long double exact = std::exp(in[i] - top) / total;
      REQUIRE(std::abs(w[i] - exact) <=
              exact * eps * (static_cast<long double>(top - in[i]) + static_cast<long double>(count) + 6) +
                  2 * static_cast<long double>(std::numeric_limits<S>::min()));
    }
  }
}

TEMPLATE_TEST_CASE("softmax handles NaN, infinity, extreme scores, sinks and empty rows", "", float, double) {
  using S = TestType;
  using Limits = std::numeric_limits<S>;
  for (const std::size_t count : {1U, 2U, 7U, 16U, 33U})
    for (std::size_t position = 0; position < count; ++position) {
      for (const S bad : {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::infinity()}) {
        std::vector<S> w(count, S(0.5));
        w[position] = bad;
        softmax(w);
        for (const S x : w) REQUIRE(std::isnan(x));
      }
      std::vector<S> w(count, S(-3));
      w[position] = Limits::lowest();
      softmax(w);
      REQUIRE(test::same_bits(w[position], count == 1 ? S(1) : S(0)));
    }
  std::vector<S> huge{Limits::max(), Limits::max()};
  softmax(huge);
  CHECK(huge[0] == S(0.5));
  std::vector<S> with_sink{S(0), S(0)};
  softmax(with_sink, 0.0);
  CHECK(with_sink[1] == S(1) / S(3));
  std::vector<S> empty;
  CHECK(softmax(empty).sum == S(0));
}

TEMPLATE_TEST_CASE("the logistic function is within a few ulp for all numbers", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(115);
  const S max_size = std::is_same_v<S, float> ? S(87) : S(708);  // for larger |x|, exp(-|x|) is computed as 0
  for (const Index count : {1, 3, 16, 64, 1001}) {
    std::vector<S> x(static_cast<std::size_t>(count) + 1, S(7));
    for (Index i = 0; i < count; ++i)
      x[static_cast<std::size_t>(i)] = static_cast<S>(random.normal() * (random.chance(0.5) ? 1 : 20));
    x[0] = count % 2 == 0 ? S(0) : -max_size;
    std::vector<S> y = x;
    kernels.sigmoid({y.data(), count}, 1, count, false);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      INFO("x = " << x[i]);
      const long double expected = 1 / (1 + std::exp(-static_cast<long double>(x[i])));
      REQUIRE(std::abs(static_cast<long double>(y[i]) - expected) <= 4 * std::numeric_limits<S>::epsilon() * expected);
      std::vector<S> one{x[i]};  // the result does not depend on the other numbers
      kernels.sigmoid({one.data(), 1}, 1, 1, false);
      REQUIRE(test::same_bits(one[0], y[i]));
    }
    REQUIRE(y.back() == S(7));
  }
  constexpr S infinity = std::numeric_limits<S>::infinity();
  std::vector<S> x{infinity, -infinity, std::numeric_limits<S>::quiet_NaN(), S(1e4), S(-1e4), S(-0.0)};
  kernels.sigmoid({x.data(), 6}, 1, 6, false);
  CHECK(x[0] == 1);
  CHECK(x[1] == 0);
  CHECK(x[2] != x[2]);
  CHECK(x[3] == 1);
  CHECK(x[4] == 0);
  CHECK(x[5] == S(0.5));
}
