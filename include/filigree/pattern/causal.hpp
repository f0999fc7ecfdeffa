// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// The causal pattern.
struct Causal {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;

  bool keeps(Index p, Index j) const { return j <= p; }
  void covers(Index, Index p1, const Grid& grid, Ranges& out) const { out.add(grid.key_at, p1); }
  void contains(Index p0, Index, const Grid& grid, Ranges& out) const { out.add(grid.key_at, p0 + 1); }
};

/// Keeps the keys up to and including the position of the query.
///
/// Formula    j ≤ p
/// Reference  Vaswani et al., arXiv:1706.03762, section 3.2.3
inline Causal causal() { return {}; }

}  // namespace filigree
