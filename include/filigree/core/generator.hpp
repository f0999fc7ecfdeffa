// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/philox.hpp"

namespace filigree {
namespace detail {

// The results of std::log and std::cos depend on the C library, and those of a*b + c on the target flags. These
// functions are therefore series of basic operations, and each a*b + c is a std::fma, which rounds once on every
// platform.

/// Computes sum_i c[i] z^i.
template <std::size_t Terms>
double horner(double z, const double (&c)[Terms]) {
  double sum = c[Terms - 1];
  for (std::size_t i = Terms - 1; i-- > 0;) sum = std::fma(sum, z, c[i]);
  return sum;
}

/// Computes ln x for a positive normal x, within 4 ulp, with the same bits on every platform.
inline double portable_log(double x) {
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)), and ln m = 2 artanh(s) = 2s (1 + s²/3 + s⁴/5 + ...) with |s| < 0.172.
  constexpr double series[] = {1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11,
                               1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
  constexpr std::uint64_t sqrt_half = 0x3FE6A09E667F3BCD;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto e = static_cast<std::int64_t>(bits - sqrt_half) >> 52;
  const double m = std::bit_cast<double>(bits - (static_cast<std::uint64_t>(e) << 52));
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  const double twice = s + s;
  return std::fma(static_cast<double>(e), std::numbers::ln2, std::fma(twice * z, horner(z, series), twice));
}

/// Computes cos(2π k / 2^53) for k in 0..2^53, within 4 ulp, with the same bits on every platform.
inline double portable_cos(std::uint64_t k) {
  constexpr double even[] = {-1.0 / 2,       1.0 / 24,        -1.0 / 720,         1.0 / 40320,
                             -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000};
  constexpr double odd[] = {-1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
                            -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
  const std::uint64_t quarter = (k + (std::uint64_t{1} << 50)) >> 51;
  const auto rest = static_cast<std::int64_t>(k) - static_cast<std::int64_t>(quarter << 51);
  const double angle = 2 * std::numbers::pi * (static_cast<double>(rest) * 0x1p-53);  // in [-π/4, π/4]
  const double z = angle * angle;
  const double value =
      quarter % 2 == 0 ? std::fma(z, horner(z, even), 1.0) : std::fma(angle * z, horner(z, odd), angle);
  return quarter % 4 == 1 || quarter % 4 == 2 ? -value : value;
}

}  // namespace detail

/// A counter-based random number generator. Its numbers are a function of (seed, stream, position), with the same bits
/// on every platform, compiler and flag that keeps IEEE arithmetic (-ffast-math does not).
///
/// Word p of a stream is one half of Philox4x32-10 at counter (p / 2, stream), with the seed as the key. The streams of
/// a seed are independent, so each row or task can have its own. A copy continues from the same position.
///
/// Reference  Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011
class Generator {
 public:
  using result_type = std::uint64_t;

  explicit constexpr Generator(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  static constexpr result_type(min)() { return 0; }
  static constexpr result_type(max)() { return (std::numeric_limits<result_type>::max)(); }

  /// Returns the next 64 random bits.
  constexpr std::uint64_t bits64() {
    if (position_++ % 2 == 1) return spare_;
    const auto block = detail::philox(seed_, (position_ - 1) / 2, stream_);
    spare_ = block[1];
    return block[0];
  }
  constexpr result_type operator()() { return bits64(); }

  /// Returns a number uniform in [0, 1), a multiple of 2^-53. Uses one word.
  constexpr double uniform() { return detail::unit(bits64()); }

  /// Returns a number uniform in [lo, hi), or lo if both are equal. Uses one word.
  ///
  /// Throws  Error unless lo <= hi and hi - lo is finite
  double uniform(double lo, double hi) {
    detail::require(lo <= hi && hi - lo <= (std::numeric_limits<double>::max)(),
                    "Generator::uniform(lo, hi): needs lo <= hi and a finite hi - lo, got ", lo, " and ", hi);
    const double x = std::fma(uniform(), hi - lo, lo);
    return x < hi || lo == hi ? x : std::nextafter(hi, lo);  // x may be rounded up to hi
  }

  /// Returns a normally distributed number with mean 0 and variance 1; its magnitude is at most 8.6. Uses two words.
  ///
  /// Formula    sqrt(-2 ln u) cos(2π v), with u in (0, 1] from the first word and v in [0, 1) from the second
  /// Reference  Box and Muller, Ann. Math. Stat. 29, 1958
  double normal();

  /// Returns an integer uniform in 0..bound-1, without bias. Uses one word, rarely more.
  ///
  /// Throws     Error if bound < 1
  /// Reference  Lemire, arXiv:1805.10941, algorithm 5
  constexpr Eigen::Index below(Eigen::Index bound) {
    detail::require(bound >= 1, "Generator::below(bound): bound must be at least 1, got ", bound);
    const auto range = static_cast<std::uint64_t>(bound);
    const auto product = detail::wide_product(bits64(), range);
    return static_cast<Eigen::Index>(product[1] < range ? redraw(product, range) : product[0]);
  }

  /// Fills `out` with distinct integers of 0..population-1, in ascending order. All subsets are equally likely.
  ///
  /// Cost    O(count log² count) expected, no allocation
  /// Throws  Error if `out` is longer than the population
  void sample_without_replacement(Eigen::Index population, std::span<Eigen::Index> out);

  /// Shuffles the values of a vector, span, array or Eigen vector. All orders are equally likely.
  ///
  /// Reference  Fisher and Yates; Knuth, TAOCP volume 2, algorithm 3.4.2 P
  template <class Values>
  void shuffle(Values&& values) {
    for (auto i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[static_cast<decltype(i)>(below(static_cast<Eigen::Index>(i)))]);
  }

  /// Returns the seed. A checkpoint saves seed, stream and position: Generator(seed, stream) continues like this one
  /// after seek(position).
  [[nodiscard]] constexpr std::uint64_t seed() const { return seed_; }
  [[nodiscard]] constexpr std::uint64_t stream() const { return stream_; }
  /// Returns the number of 64-bit words that were drawn.
  [[nodiscard]] constexpr std::uint64_t position() const { return position_; }
  /// Moves to any position, forward or backward, in constant time.
  constexpr void seek(std::uint64_t position) {
    position_ = position;
    if (position % 2 == 1) spare_ = detail::philox(seed_, position / 2, stream_)[1];
  }

 private:
  // Draws again while a product of below() is biased. It is rarely called, and below() is inlined only without it.
  [[gnu::noinline]] constexpr std::uint64_t redraw(std::array<std::uint64_t, 2> product, std::uint64_t range) {
    const std::uint64_t excess = (0 - range) % range;  // 2^64 mod range
    while (product[1] < excess) product = detail::wide_product(bits64(), range);
    return product[0];
  }

  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
  std::uint64_t spare_ = 0;  // the second word of the current block, valid at odd positions
};

// Not inlined, since the compiler could otherwise contract the last product with an addition in the caller.
[[gnu::noinline]] inline double Generator::normal() {
  const double u = static_cast<double>((bits64() >> 11) + 1) * 0x1p-53;
  const double radius = std::sqrt(-2 * detail::portable_log(u));
  return radius * detail::portable_cos(bits64() >> 11);
}

inline void Generator::sample_without_replacement(Eigen::Index population, std::span<Eigen::Index> out) {
  const auto count = static_cast<Eigen::Index>(out.size());
  detail::require(count <= population, "Generator::sample_without_replacement(population, out): cannot draw ", count,
                  " distinct values from a population of ", population);
  auto end = out.begin();
  if (population - count < count) {  // dense: Knuth, TAOCP volume 2, algorithm 3.4.2 S
    for (Eigen::Index value = 0; end != out.end(); ++value)
      if (below(population - value) < out.end() - end) *end++ = value;
    return;
  }
  while (end != out.end()) {  // sparse: draw the missing values again after duplicates are removed
    std::generate(end, out.end(), [&] { return below(population); });
    std::sort(out.data(), out.data() + out.size());
    end = std::unique(out.begin(), out.end());
  }
}

/// Fills a dense Eigen object with numbers of generator.normal(), rounded to its scalar type. The order is row by row
/// in any storage order.
template <class Dense>
void fill_normal(Dense&& target, Generator& generator) {
  using Scalar = typename std::remove_cvref_t<Dense>::Scalar;
  for (Eigen::Index i = 0; i < target.rows(); ++i)
    for (Eigen::Index j = 0; j < target.cols(); ++j) target(i, j) = static_cast<Scalar>(generator.normal());
}

/// Fills a dense Eigen object with numbers of generator.uniform(lo, hi), rounded to its scalar type. The order is row
/// by row in any storage order.
///
/// Edge case  a number may be rounded up to hi if the scalar type is narrower than double
template <class Dense>
void fill_uniform(Dense&& target, double lo, double hi, Generator& generator) {
  using Scalar = typename std::remove_cvref_t<Dense>::Scalar;
  for (Eigen::Index i = 0; i < target.rows(); ++i)
    for (Eigen::Index j = 0; j < target.cols(); ++j) target(i, j) = static_cast<Scalar>(generator.uniform(lo, hi));
}

}  // namespace filigree
