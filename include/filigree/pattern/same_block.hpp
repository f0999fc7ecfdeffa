// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern: the keys of the query's own block.
struct SameBlock {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Index b;

  bool keeps(Index p, Index j) const { return block(p) == block(j); }
  Index same_keys_until(Index p, const Grid&) const {
    return block(p) < (std::numeric_limits<Index>::max)() / b ? (block(p) + 1) * b
                                                              : (std::numeric_limits<Index>::max)();
  }
  void covers(Index p0, Index p1, const Grid&, Ranges& out) const {
    if (p0 < p1) out.add(block(p0) * b, (block(p1 - 1) + 1) * b);
  }
  void contains(Index p0, Index p1, const Grid&, Ranges& out) const {
    if (p0 < p1 && block(p0) == block(p1 - 1)) out.add(block(p0) * b, (block(p0) + 1) * b);
  }

 private:
  Index block(Index position) const { return floor_div(position, b); }
};

/// Keeps the keys of the query's own block of b positions.
///
/// Formula    ⌊p / b⌋ = ⌊j / b⌋
/// Throws     Error if b < 1
/// Reference  Child et al., arXiv:1904.10509, section 4.2
inline SameBlock same_block(Index b) {
  detail::require(b >= 1, "same_block(b): b must be at least 1, got ", b);
  return {.b = b};
}

}  // namespace filigree
