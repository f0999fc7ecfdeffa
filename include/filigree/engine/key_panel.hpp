// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/concepts.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/ranges.hpp"

namespace filigree::detail {

/// A panel of keys as the score kernels read it. Numbers that are stored in 16 bits are widened in registers.
template <Real S>
struct KeyPanel {
  const S* numbers;                 // [d][width]
  kernel::StoredNumbers<S> stored;  // the same in 16 bits; then `numbers` is null
  Index rows;                       // number of queries that read the stored numbers: at most one group
  Index d;
  S scale;

  /// Computes the scores of groups of queries.
  void score(const S* queries, Index groups, S* to, Index stride) const {
    const auto& kernels = kernel::kernels<S>();
    if (stored)
      stored.kernels->score_panel(queries, rows, stored, d, scale, to, stride);
    else
      kernels.score_panel(queries, groups, numbers, d, scale, to, stride);
  }
  /// Computes the scores of one group against a range of columns of the panel, in whole vectors.
  void score_columns(const S* queries, const Range& columns, S* to, Index stride) const {
    const auto& kernels = kernel::kernels<S>();
    if (stored)
      stored.kernels->score_columns(queries, stored, d, scale, to, stride, columns.begin, columns.end);
    else
      kernels.score_columns(queries, numbers, d, scale, to, stride, columns.begin, columns.end);
  }
  /// Appends the scores of groups of queries that are above the bounds of the rows. The first key has column `first`.
  void append(const S* queries, Index groups, kernel::Column first, const kernel::Candidates<S>& to) const {
    const auto& kernels = kernel::kernels<S>();
    if (stored)
      stored.kernels->append_panel(queries, rows, stored, d, scale, first, to);
    else
      kernels.append_panel(queries, groups, numbers, d, scale, first, to);
  }
};

}  // namespace filigree::detail
