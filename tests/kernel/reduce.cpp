// SPDX-License-Identifier: MIT
// Kernels of magnitudes, sums and rows against loops over single numbers, bit for bit.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filigree/kernel/kernels.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using test::Index;

namespace {

const std::vector<Index> counts = {0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 1000};

template <class S>
std::vector<S> numbers(test::Random& random, Index count) {
  std::vector<S> x;
  for (Index i = 0; i < count; ++i) x.push_back(static_cast<S>(random.normal()));
  return x;
}

/// Returns a b, rounded; never part of a fused multiply-add.
template <class S>
[[gnu::noinline]] S product(S a, S b) {
  return a * b;
}

/// Returns the sum of x[i] y[i], as 16 partial sums.
template <class S>
double sum(const std::vector<S>& x, const std::vector<S>& y) {
  double partial[16] = {}, total = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    partial[i % 16] += product(static_cast<double>(x[i]), static_cast<double>(y[i]));
  for (const double s : partial) total += s;
  return total;
}

}  // namespace

TEMPLATE_TEST_CASE("sums of squares and products are 16 partial sums", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  test::Random random(811);
  for (const Index count : counts) {
    const std::vector<S> x = numbers<S>(random, count), y = numbers<S>(random, count);
    CHECK(test::same_bits(kernels.sum_squares(x.data(), count), sum(x, x)));
    const auto sums = kernels.sum_products(x.data(), y.data(), count);
    CHECK(test::same_bits(sums.products, sum(x, y)));
    CHECK(test::same_bits(sums.squares, sum(x, x)));
  }
}

TEMPLATE_TEST_CASE("a bound of magnitudes is not finite exactly if a number is not", "", float, double) {
  using S = TestType;
  using Limits = std::numeric_limits<S>;
  const auto& kernels = filigree::kernel::kernels<S>();
  test::Random random(812);
  CHECK(std::isfinite(kernels.magnitude_bound(nullptr, 0)));
  for (const Index count : counts)
    for (Index at = 0; at < count; at += 1 + count / 40) {
      std::vector<S> x = numbers<S>(random, count);
      for (const S value : {S(100), S(-100), Limits::max(), Limits::lowest()}) {
        x[static_cast<std::size_t>(at)] = value;
        const S bound = kernels.magnitude_bound(x.data(), count);
        CHECK(bound >= std::abs(value));
        CHECK(bound <= Limits::max());
        CHECK(static_cast<double>(bound) / (1 + 2e-6) <= static_cast<double>(std::abs(value)));
      }
      for (const S value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()}) {
        x[static_cast<std::size_t>(at)] = value;
        CHECK_FALSE(std::isfinite(kernels.magnitude_bound(x.data(), count)));
      }
    }
}

TEMPLATE_TEST_CASE("multiples of rows", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  test::Random random(813);
  for (const Index count : counts) {
    const std::vector<S> x = numbers<S>(random, count);
    std::vector<S> y = numbers<S>(random, count + 1), scaled = y, wide = y;  // one more, which must not change
    const std::vector<S> before = y;
    const S factor = static_cast<S>(random.normal());
    const double exact = random.normal();
    kernels.subtract_multiple(y.data(), x.data(), factor, count);
    kernels.multiply_all(scaled.data(), x.data(), factor, count);
    kernels.scale_wide(wide.data(), exact, count);
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(test::same_bits(y[i], before[i] - product(factor, x[i])));
      CHECK(test::same_bits(scaled[i], factor * x[i]));
      CHECK(test::same_bits(wide[i], static_cast<S>(static_cast<double>(before[i]) * exact)));
    }
    for (const auto& changed : {y, scaled, wide}) CHECK(changed.back() == before.back());
  }
}
