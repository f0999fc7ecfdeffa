// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/stage/grid.hpp"

namespace filigree {

/// A tile of scores, of consecutive queries and consecutive keys. A map may have a function for tiles.
template <Real S>
struct ScoreTile {
  S* values;  // [queries][stride]
  Index stride;
  Index p, queries;  // the position of the first query, and the number of queries
  Index j, keys;     // the position of the first key, and the number of keys
  const Grid& grid;

  /// Returns the scores of query p + r.
  [[nodiscard]] S* row(Index r) const { return values + r * stride; }
};

}  // namespace filigree
