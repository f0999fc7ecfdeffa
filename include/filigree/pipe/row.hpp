// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/kernel/kernels.hpp"

namespace filigree {

using kernel::Column;

/// The n x m matrix that a pipeline runs on, and where it stands: row i at position query_at + i, column c at key_at +
/// c.
struct Grid {
  Index n = 0, m = 0;
  Index query_at = 0, key_at = 0;

  [[nodiscard]] Index row(Index p) const { return p - query_at; }
  [[nodiscard]] Index column(Index j) const { return j - key_at; }
  /// One past the position of the last column.
  [[nodiscard]] Index key_end() const { return key_at + m; }
};

/// Memory that the stages of one worker may use while they work on a row. What it held before is gone.
struct RowScratch {
  detail::Buffer values, columns;
};

/// One row between two stages: the entries that are present, in ascending columns. What is not listed is absent.
///
/// `values` and `columns` may be read and written up to `padding` entries beyond `count`, so that kernels work on whole
/// vectors. Stages change values and shorten the list; they never lengthen it.
template <Real S>
struct Row {
  static constexpr Index padding = 16;

  const Grid& grid;
  Index index;      // number of the row in the matrix
  S* values;        // [count + padding]
  Column* columns;  // [count + padding]
  Index count;
  RowScratch& scratch;
  S maximum = -std::numeric_limits<S>::infinity();  // softmax leaves the parts of its logsumexp here
  S sum = 0;

  [[nodiscard]] Index position() const { return grid.query_at + index; }
  [[nodiscard]] Index position_of(Index i) const { return grid.key_at + columns[i]; }

  /// Drops the entries for which keep(i) is false; keep sees entry i as it was.
  template <class Keep>
  void filter(Keep&& keep) {
    Index kept = 0;
    for (Index i = 0; i < count; ++i) {
      const bool stays = keep(i);
      values[kept] = values[i];
      columns[kept] = columns[i];
      kept += stays ? 1 : 0;
    }
    count = kept;
  }

  [[nodiscard]] bool has_nan() const {
    bool found = false;
    for (Index i = 0; i < count; ++i) found |= values[i] != values[i];
    return found;
  }

  void fill(S value) {
    for (Index i = 0; i < count; ++i) values[i] = value;
  }
};

}  // namespace filigree
