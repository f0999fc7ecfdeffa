// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/scratch.hpp"
#include "filigree/run/evaluator.hpp"
#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// Applies the last stages to rows, which are lists of kept entries, and passes the rows to the sink. apply_stages(row)
/// works in place.
template <Real S, class ApplyStages>
void finish_lists(const Grid& grid, Index first, Index rows, const kernel::Candidates<S>& kept, WorkerScratch& scratch,
                  const RowSink<S>& sink, const ApplyStages& apply_stages) {
  const auto row_of = [&](Index r) {
    return make_row(grid, first + r, kept.values + r * kept.stride, kept.columns + r * kept.stride,
                    Index(kept.count[r]), scratch);
  };
  const auto finish_row = [&](Index r) -> kernel::LogSumExp<S> {
    Row<S> row = row_of(r);
    apply_stages(row);
    kept.count[r] = static_cast<Column>(row.count);
    return {row.maximum, row.sum};
  };
  Index entries = 0;
  for (Index r = 0; r < rows; ++r) entries += kept.count[r];
  if (sink.prefers_rows(entries, grid.m)) {
    ScratchFrame frame(scratch);
    auto* sums = frame.take<kernel::LogSumExp<S>>(rows);
    for (Index r = 0; r < rows; ++r) sums[r] = finish_row(r);
    return sink.take_rows({first, rows, grid.m, kept, sums}, scratch);
  }
  // A core works on several rows at once. It fills the waits of a step best with the same step of the next rows.
  constexpr Index batch = 8;
  kernel::LogSumExp<S> sums[batch];
  for (Index begin = 0; begin < rows; begin += batch) {
    const Index end = (std::min)(begin + batch, rows);
    for (Index r = begin; r < end; ++r) sums[r - begin] = finish_row(r);
    for (Index r = begin; r < end; ++r) {
      Row<S> row = row_of(r);
      row.maximum = sums[r - begin].maximum;
      row.sum = sums[r - begin].sum;
      sink(row, scratch);
    }
  }
}

}  // namespace filigree::detail
