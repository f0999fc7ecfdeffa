// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/core/check.hpp"
#include "filigree/core/philox.hpp"
#include "filigree/pipe/stage.hpp"

namespace filigree {

/// What dropout(p, seed) returns.
struct Dropout {
  using Category = Normalizer;
  double p;
  std::uint64_t seed;

  template <Real S>
  void apply(Row<S>& row) const {
    const Index at = row.position();
    row.filter(
        [&](Index i) { return row.values[i] != row.values[i] || uniform_at(seed, at, row.position_of(i)) >= p; });
    const S scale = static_cast<S>(1 / (1 - p));
    for (Index i = 0; i < row.count; ++i) row.values[i] *= scale;
  }
};

/// Makes each weight absent with probability p and multiplies the others by 1 / (1 - p). Leave it out to evaluate.
///
/// Which ones depends on (seed, query position, key position) alone: the same on every platform, for any threads.
/// Formula    w / (1 − p), or absent with probability p
/// Edge case  NaN is never dropped
/// Throws     Error unless 0 <= p < 1
/// Reference  Srivastava et al., JMLR 15, 2014
inline Dropout dropout(double p, std::uint64_t seed) {
  detail::require(p >= 0 && p < 1, "dropout(p, seed): p must be at least 0 and below 1, got ", p);
  return {.p = p, .seed = seed};
}

}  // namespace filigree
