// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/concepts.hpp"

namespace filigree {

/// The shape and position of the n x m matrix of a pipeline: row i is at position query_at + i, column c at key_at + c.
struct Grid {
  Index n = 0, m = 0;
  Index query_at = 0, key_at = 0;

  [[nodiscard]] Index row(Index p) const { return p - query_at; }
  [[nodiscard]] Index column(Index j) const { return j - key_at; }
  /// Returns one past the position of the last column.
  [[nodiscard]] Index key_end() const { return key_at + m; }
  friend bool operator==(const Grid&, const Grid&) = default;
};

}  // namespace filigree
