// SPDX-License-Identifier: MIT
// Kernels of the steps of optimizers against their formulas for single numbers, bit for bit.
#include <cmath>
#include <cstddef>
#include <filigree/kernel/kernels.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using test::Index;

namespace {

/// Returns a b, rounded; never part of a fused multiply-add.
template <class S>
[[gnu::noinline]] S product(S a, S b) {
  return a * b;
}
template <class S>
S flushed(S x) {
  return std::abs(x) < (std::numeric_limits<S>::min)() ? S(0) : x;
}

/// Parameters, gradients and moments, with some zeros, denormal numbers and numbers that are not finite. The last one
/// of each must not change.
template <class S>
struct Numbers {
  Numbers(test::Random& random, Index size) : count(size) {
    using Limits = std::numeric_limits<S>;
    for (Index i = 0; i <= size; ++i) {
      value.push_back(static_cast<S>(random.normal()));
      gradient.push_back(i % 5 == 4 ? S(0) : static_cast<S>(random.normal()));
      mean.push_back(i % 7 == 3 ? 2 * Limits::min() : static_cast<S>(random.normal()));
      square.push_back(i % 7 == 2 ? 2 * Limits::min() : std::abs(static_cast<S>(random.normal())));
      max_square.push_back(std::abs(static_cast<S>(random.normal())));
    }
    if (size > 20) {
      gradient[3] = Limits::quiet_NaN();
      gradient[11] = -Limits::infinity();
      value[17] = Limits::quiet_NaN();
      square[19] = Limits::infinity();
      gradient[20] = Limits::denorm_min();
    }
  }
  void check_equal(const Numbers& other) const {
    for (std::size_t i = 0; i < value.size(); ++i) {
      INFO("number " << i << " of " << count);
      check_equal(value[i], other.value[i]);
      check_equal(mean[i], other.mean[i]);
      check_equal(square[i], other.square[i]);
      check_equal(max_square[i], other.max_square[i]);
    }
  }
  static void check_equal(S a, S b) { CHECK((test::same_bits(a, b) || (std::isnan(a) && std::isnan(b)))); }

  Index count;
  std::vector<S> value, gradient, mean, square, max_square;
};

/// Calls check(numbers, copy) for arrays of several sizes.
template <class S, class F>
void for_sizes(std::uint64_t stream, F&& check) {
  test::Random random(stream);
  for (const Index count : {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 63, 64, 65, 1000}) {
    Numbers<S> numbers(random, count), expected = numbers;
    check(numbers, expected);
    numbers.check_equal(expected);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("steps of sgd", "", float, double) {
  using S = TestType;
  const S size = S(0.3);
  for (const S momentum : {S(0), S(0.9)})
    for (const bool nesterov : {false, true}) {
      if (nesterov && momentum == S(0)) continue;
      for_sizes<S>(821, [&](Numbers<S>& x, Numbers<S>& y) {
        filigree::kernel::kernels<S>().sgd_step(x.value.data(), x.gradient.data(), x.mean.data(), x.count,
                                                {size, momentum, nesterov});
        for (std::size_t i = 0; i < static_cast<std::size_t>(x.count); ++i) {
          const S g = y.gradient[i];
          S mean = flushed(g);
          if (momentum != S(0)) mean = y.mean[i] = flushed(product(momentum, y.mean[i]) + g);
          y.value[i] -= product(size, nesterov ? g + product(momentum, mean) : mean);
        }
      });
    }
}

TEMPLATE_TEST_CASE("steps of adam", "", float, double) {
  using S = TestType;
  for (const S shrink : {S(1), S(0.99)})
    for (const bool with_max : {false, true}) {
      const filigree::kernel::AdamStep<S> step = {.size = S(0.01),
                                                  .beta1 = S(0.9),
                                                  .beta2 = S(0.45),
                                                  .rest1 = S(0.1),
                                                  .rest2 = S(0.55),
                                                  .root = S(0.7),
                                                  .epsilon = S(1e-8),
                                                  .shrink = shrink};
      for_sizes<S>(822, [&](Numbers<S>& x, Numbers<S>& y) {
        filigree::kernel::kernels<S>().adam_step(x.value.data(), x.gradient.data(), x.mean.data(), x.square.data(),
                                                 with_max ? x.max_square.data() : nullptr, x.count, step);
        for (std::size_t i = 0; i < static_cast<std::size_t>(x.count); ++i) {
          const S g = y.gradient[i];
          y.mean[i] = flushed(product(step.beta1, y.mean[i]) + product(step.rest1, g));
          y.square[i] = flushed(product(step.beta2, y.square[i]) + product(product(step.rest2, g), g));
          S square = y.square[i];
          if (with_max) square = y.max_square[i] = y.max_square[i] < square ? square : y.max_square[i];
          const S denominator = std::sqrt(square) / step.root + step.epsilon;
          y.value[i] = product(shrink, y.value[i]) - product(step.size, y.mean[i]) / denominator;
        }
      });
    }
}

TEMPLATE_TEST_CASE("steps of proximal gradient descent", "", float, double) {
  using S = TestType;
  const S size = S(0.3);
  for (const S bound : {S(0), S(0.4)})
    for_sizes<S>(823, [&](Numbers<S>& x, Numbers<S>& y) {
      filigree::kernel::kernels<S>().proximal_step(x.value.data(), x.gradient.data(), x.count, size, bound);
      for (std::size_t i = 0; i < static_cast<std::size_t>(x.count); ++i) {
        const S moved = y.value[i] - product(size, y.gradient[i]);
        y.value[i] = std::abs(moved) <= bound ? S(0) : moved - std::copysign(bound, moved);
      }
    });
}
