// SPDX-License-Identifier: MIT
// Conversion of 16-bit floating-point numbers: all numbers, and rows of all lengths.
#include <Eigen/Core>
#include <cfenv>
#include <filigree/kernel/kernels.hpp>
#include <numeric>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using test::Index;

namespace {

/// Returns true if the processor flushes denormal numbers to 0.
bool flushes_denormals() {
  volatile double smallest = std::numeric_limits<double>::denorm_min();
  return smallest + smallest == 0;
}

template <class S>
bool same_number(S got, S expected) {
  // Numbers below this are converted through a denormal float.
  constexpr S normal = static_cast<S>(std::numeric_limits<float>::min());
  const bool flushed = flushes_denormals() && std::abs(got) < normal && std::abs(expected) < normal;
  return test::same_bits(got, expected) || ((flushed || std::fegetround() == FE_DOWNWARD) &&
                                            (got == 0 || expected == 0) && std::abs(got - expected) < normal);
}

/// Returns the number that the bits represent, from the definition of the format.
double half(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31U), fraction = static_cast<int>(bits & 1023U);
  double size = std::ldexp(exponent == 0 ? fraction : fraction + 1024, std::max(exponent, 1) - 25);
  if (exponent == 31)
    size = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  return (bits >> 15 & 1U) != 0 ? -size : size;
}
double bfloat(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 7 & 255U), fraction = static_cast<int>(bits & 127U);
  double size = std::ldexp(exponent == 0 ? fraction : fraction + 128, std::max(exponent, 1) - 134);
  if (exponent == 255)
    size = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  return (bits >> 15 & 1U) != 0 ? -size : size;
}

}  // namespace

TEMPLATE_TEST_CASE("every 16-bit number is converted exactly", "", float, double) {
  using S = TestType;
  std::vector<std::uint16_t> bits(65536);
  std::iota(bits.begin(), bits.end(), std::uint16_t(0));
  std::vector<S> halves(bits.size()), bfloats(bits.size());
  filigree::kernel::kernels<S>().widen_half(bits.data(), 65536, halves.data());
  filigree::kernel::kernels<S>().widen_bfloat(bits.data(), 65536, bfloats.data());
  for (unsigned b = 0; b < 65536; ++b) {
    if (test::same_bits(halves[b], static_cast<S>(half(b))) && same_number(bfloats[b], static_cast<S>(bfloat(b))) &&
        same_number(halves[b], static_cast<S>(Eigen::numext::bit_cast<Eigen::half>(bits[b]))) &&
        same_number(bfloats[b], static_cast<S>(Eigen::numext::bit_cast<Eigen::bfloat16>(bits[b]))))
      continue;
    CAPTURE(b, halves[b], bfloats[b]);
    FAIL("not the same number");
  }
}

TEMPLATE_TEST_CASE("rows of any length and alignment are converted", "", float, double) {
  using S = TestType;
  std::vector<std::uint16_t> bits(100);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(0x3c00 + i);
  for (Index first = 0; first < 3; ++first)
    for (Index count = 0; count < 90; ++count) {
      std::vector<S> out(static_cast<std::size_t>(count) + 1, S(-9));
      filigree::kernel::kernels<S>().widen_half(bits.data() + first, count, out.data());
      for (Index i = 0; i < count; ++i)
        REQUIRE(out[static_cast<std::size_t>(i)] == static_cast<S>(1 + static_cast<double>(first + i) / 1024));
      REQUIRE(out.back() == S(-9));
    }
}

TEST_CASE("floats are rounded to the nearest 16-bit number") {
  // Every 16-bit number, the middle between it and the next one, and the floats around both.
  std::vector<float> numbers;
  for (unsigned b = 0; b < 65536; ++b)
    for (const unsigned format : {0U, 1U}) {
      const double size = format == 0 ? half(b) : bfloat(b),
                   next = format == 0 ? half((b + 1) & 65535U) : bfloat((b + 1) & 65535U);
      for (const double x : {size, (size + next) / 2}) {
        const auto y = static_cast<float>(x);
        for (const float z : {y, std::nextafter(y, 1e38F), std::nextafter(y, -1e38F)}) numbers.push_back(z);
      }
    }
  for (const float x :
       {65519.0F, 65520.0F, 65521.0F, 1e10F, 3.4e38F, 3.3961775e38F, 3.3961776e38F, 1e-44F, 0x1p-25F, 0x1.8p-25F})
    for (const float sign : {1.0F, -1.0F}) numbers.push_back(sign * x);
  const auto count = static_cast<Index>(numbers.size());
  std::vector<std::uint16_t> halves(numbers.size()), bfloats(numbers.size());
  filigree::kernel::kernels<float>().narrow_half(numbers.data(), count, halves.data());
  filigree::kernel::kernels<float>().narrow_bfloat(numbers.data(), count, bfloats.data());
  const auto check = [](float x, unsigned got, const auto& number, unsigned infinite) {
    if (x != x) return number(got) != number(got);
    if (std::signbit(x) != (got >= 0x8000U)) return false;
    // The result is at most as far as its neighbors, and even if one of them is as far.
    const double size = std::abs(static_cast<double>(x));
    const unsigned bits = got & 0x7fffU;
    if (bits > infinite) return false;
    const auto value = [&](unsigned b) { return b == infinite ? 2 * number(b - 1) - number(b - 2) : number(b); };
    const double here = std::abs(size - value(bits));
    if (std::isinf(size)) return bits == infinite;
    const double below = bits > 0 ? std::abs(size - value(bits - 1)) : 1e300;
    const double above = bits < infinite ? std::abs(size - value(bits + 1)) : size >= value(infinite) ? 1e300 : 1e299;
    if (bits == infinite && size >= value(infinite)) return true;
    return here <= below && here <= above && ((here < below && here < above) || bits % 2 == 0);
  };
  const bool flushes = flushes_denormals();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (flushes && std::abs(numbers[i]) < std::numeric_limits<float>::min()) continue;
    if (check(numbers[i], halves[i], half, 0x7c00U) && check(numbers[i], bfloats[i], bfloat, 0x7f80U)) continue;
    CAPTURE(numbers[i], halves[i], bfloats[i]);
    FAIL("not the nearest number");
  }
  for (Index size = 0; size < 40; ++size) {
    std::vector<std::uint16_t> some(64, 7);
    filigree::kernel::kernels<float>().narrow_half(numbers.data() + 3000, size, some.data());
    for (Index i = 0; i < 64; ++i)
      REQUIRE(some[static_cast<std::size_t>(i)] == (i < size ? halves[static_cast<std::size_t>(3000 + i)] : 7));
  }
}
