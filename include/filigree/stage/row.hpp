// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/grid.hpp"

namespace filigree {

using kernel::Column;

/// Scratch memory of one worker for a stage that processes a row. Its previous content is undefined.
struct RowScratch {
  detail::Buffer values, columns;
};

/// One row between two stages: the list of its present entries, in ascending columns. All other entries are absent.
///
/// `values` and `columns` may be read and written up to `padding` entries beyond `count`, so that kernels can process
/// whole vectors. Stages may change values and shorten the list, but never lengthen it.
template <Real S>
struct Row {
  static constexpr Index padding = 16;

  const Grid& grid;
  Index index;      // row index in the matrix
  S* values;        // [count + padding]
  Column* columns;  // [count + padding]
  Index count;
  RowScratch& scratch;
  S maximum = -std::numeric_limits<S>::infinity();  // set by softmax: logsumexp = maximum + log(sum)
  S sum = 0;

  [[nodiscard]] Index position() const { return grid.query_at + index; }
  [[nodiscard]] Index position_of(Index i) const { return grid.key_at + columns[i]; }

  /// Removes the entries for which keep(i) is false. keep(i) is called before entry i moves.
  template <class Keep>
  void filter(Keep&& keep) {
    Index kept = 0;
    for (Index i = 0; i < count; ++i) {
      const bool is_kept = keep(i);
      values[kept] = values[i];
      columns[kept] = columns[i];
      kept += is_kept ? 1 : 0;
    }
    count = kept;
  }

  /// Calls f(i, count) for each longest run of entries i, ..., i + count - 1 with consecutive columns.
  template <class F>
  void for_each_run(F&& f) const {
    for (Index i = 0; i < count;) {
      Index end = i + 1;
      if (columns[count - 1] - columns[i] == count - 1 - i) end = count;
      while (end < count && columns[end] == columns[end - 1] + 1) ++end;
      f(i, end - i);
      i = end;
    }
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
