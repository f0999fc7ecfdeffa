// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/stage/ranges.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree::detail {

/// A pattern that keeps no pair.
struct KeepNone {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  bool keeps(Index, Index) const { return false; }
  Index same_keys_until(Index, const Grid&) const { return (std::numeric_limits<Index>::max)(); }
  void covers(Index, Index, const Grid&, Ranges&) const {}
  void contains(Index, Index, const Grid&, Ranges&) const {}
};

/// A pattern that keeps every pair.
struct KeepAll {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  bool keeps(Index, Index) const { return true; }
  Index same_keys_until(Index, const Grid&) const { return (std::numeric_limits<Index>::max)(); }
  void covers(Index, Index, const Grid& grid, Ranges& out) const { out.add(grid.key_at, grid.key_end()); }
  void contains(Index, Index, const Grid& grid, Ranges& out) const { out.add(grid.key_at, grid.key_end()); }
};

}  // namespace filigree::detail
