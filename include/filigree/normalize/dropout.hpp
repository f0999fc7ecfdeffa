// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/core/check.hpp"
#include "filigree/core/philox.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Normalizer that drops weights at random.
struct Dropout {
  using Category = Normalizer;
  double p;
  std::uint64_t seed;

  template <Real S>
  void apply(Row<S>& row) const {
    const Index position = row.position();
    row.filter(
        [&](Index i) { return row.values[i] != row.values[i] || uniform_at(seed, position, row.position_of(i)) >= p; });
    const S scale = static_cast<S>(1 / (1 - p));
    for (Index i = 0; i < row.count; ++i) row.values[i] *= scale;
  }
  template <Real S>
  void backward(const Row<S>&, const Row<S>& out, S* d) const {
    const S scale = static_cast<S>(1 / (1 - p));
    for (Index i = 0; i < out.count; ++i) d[i] *= scale;
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
