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
    CAPTURE(b);
    REQUIRE(test::same_bits(halves[b], static_cast<S>(half(b))));
    REQUIRE(same_number(bfloats[b], static_cast<S>(bfloat(b))));
    REQUIRE(same_number(halves[b], static_cast<S>(Eigen::numext::bit_cast<Eigen::half>(bits[b]))));
    REQUIRE(same_number(bfloats[b], static_cast<S>(Eigen::numext::bit_cast<Eigen::bfloat16>(bits[b]))));
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
