// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include "filigree/core/requirements.hpp"

namespace filigree {
namespace detail {

/// Computes ten rounds of Philox4x32: 128 random bits, a function of the counter and the key alone.
///
/// Reference  Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p = std::uint64_t{0xD2511F53} * c[0];
    const std::uint64_t q = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(q >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(q),
         static_cast<std::uint32_t>(p >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(p)};
    key[0] += 0x9E3779B9;  // golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return c;
}

/// Computes Philox4x32-10 on 64-bit words, split with the least significant half first on any byte order.
constexpr std::array<std::uint64_t, 2> philox(std::uint64_t seed, std::uint64_t low, std::uint64_t high) {
  const auto half = [](std::uint64_t word, int shift) { return static_cast<std::uint32_t>(word >> shift); };
  const auto r = philox({half(low, 0), half(low, 32), half(high, 0), half(high, 32)}, {half(seed, 0), half(seed, 32)});
  return {std::uint64_t{r[1]} << 32 | r[0], std::uint64_t{r[3]} << 32 | r[2]};
}

/// Computes the 128-bit product of two words as {high, low}.
constexpr std::array<std::uint64_t, 2> wide_product(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t mask = 0xFFFFFFFF;
  const std::uint64_t middle = (a >> 32) * (b & mask) + ((a & mask) * (b & mask) >> 32);
  const std::uint64_t other = (a & mask) * (b >> 32) + (middle & mask);
  return {(a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32), a * b};
}

/// Converts the top 53 bits to a number in [0, 1). The product is exact, so contraction to FMA cannot change it.
constexpr double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

/// Returns the least bits with unit(bits) >= p, for 0 <= p < 1.
constexpr std::uint64_t bits_from(double p) {
  const double scaled = p * 0x1p53;  // exact
  const auto floor = static_cast<std::uint64_t>(scaled);
  return (static_cast<double>(floor) < scaled ? floor + 1 : floor) << 11;
}

/// Returns the first half of the counter of random_bits(seed, a, b).
constexpr std::uint64_t first_counter(std::int64_t a) {
  return static_cast<std::uint64_t>(a) ^ (std::uint64_t{1} << 63);
}

}  // namespace detail

/// Returns 64 random bits, a function of (seed, a, b) alone, for random decisions about an entry of a matrix:
/// random_bits(seed, row, column).
///
/// The result is the first half of Philox4x32-10 with counter (a with its sign bit flipped, b) and key seed. Flipping
/// the bit moves these counters out of the range that a Generator with the same seed reaches in practice.
constexpr std::uint64_t random_bits(std::uint64_t seed, std::int64_t a, std::int64_t b) {
  return detail::philox(seed, detail::first_counter(a), static_cast<std::uint64_t>(b))[0];
}

/// Returns a random number, uniform in [0, 1), a function of (seed, a, b) alone.
constexpr double uniform_at(std::uint64_t seed, std::int64_t a, std::int64_t b) {
  return detail::unit(random_bits(seed, a, b));
}

}  // namespace filigree
