// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "filigree/core/check.hpp"
#include "filigree/core/philox.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Normalizer that drops weights at random.
struct Dropout {
  using Category = Normalizer;
  double p;
  std::uint64_t seed;

  template <Real S>
  void apply(Row<S>& row) const {
    if (p == 0 || row.count == 0) return;
    const Index position = row.position(), first = row.position_of(0), last = row.position_of(row.count - 1);
    const S scale = static_cast<S>(1 / (1 - p));
    if (upper_half(first) == upper_half(last)) {
      const kernel::RandomRow draws = random_row(position, row.grid.key_at, upper_half(first));
      row.count = kernel::kernels<S>().drop_listed(row.values, row.columns, row.count, draws, scale);
      return;
    }
    row.filter(
        [&](Index i) { return row.values[i] != row.values[i] || uniform_at(seed, position, row.position_of(i)) >= p; });
    for (Index i = 0; i < row.count; ++i) row.values[i] *= scale;
  }
  template <Real S>
  void map_row(const S* from, S* to, Index count, S absent, Index position, Index first) const {
    if (p == 0) return kernel::kernels<S>().replace_absent(from, to, count, absent);
    const S scale = static_cast<S>(1 / (1 - p));
    for (Index begin = 0, end = 0; begin < count; begin = end) {
      // All positions in one call of the kernel have the same upper half.
      const Index key = first + begin, rest = (Index{1} << 32) - (key & 0xFFFFFFFF);
      end = begin + (std::min)(rest, count - begin);
      kernel::kernels<S>().drop(from + begin, to + begin, end - begin, random_row(position, key), scale, absent);
    }
  }
  template <Real S>
  void backward(const Row<S>&, const Row<S>& out, S* d) const {
    const S scale = static_cast<S>(1 / (1 - p));
    for (Index i = 0; i < out.count; ++i) d[i] *= scale;
  }

  // Returns the random numbers of the row at `position`; `first` is the position of column 0.
  [[nodiscard]] kernel::RandomRow random_row(Index position, Index first) const {
    return random_row(position, first, upper_half(first));
  }

 private:
  static std::uint32_t upper_half(Index position) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(position) >> 32);
  }
  /// Returns the random numbers of the row at `position`; `first` is the position of column 0.
  [[nodiscard]] kernel::RandomRow random_row(Index position, Index first, std::uint32_t high) const {
    return {.seed = seed,
            .counter = detail::first_counter(position),
            .first = static_cast<std::uint64_t>(first),
            .high = high,
            .limit = detail::bits_from(p)};
  }
};

/// Drops each weight with probability p and multiplies the remaining weights by 1 / (1 - p). Omit it for evaluation.
///
/// The choice depends only on (seed, query position, key position). It is the same on every platform and for any
/// number of threads.
/// Formula    w / (1 − p), or absent with probability p
/// Edge case  NaN is never dropped
/// Throws     Error unless 0 <= p < 1
/// Reference  Srivastava et al., JMLR 15, 2014
inline Dropout dropout(double p, std::uint64_t seed) {
  detail::require(p >= 0 && p < 1, "dropout(p, seed): p must be at least 0 and below 1, got ", p);
  return {.p = p, .seed = seed};
}

}  // namespace filigree
