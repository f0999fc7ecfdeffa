// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/core/scratch.hpp"
#include "filigree/nn/activations.hpp"
#include "filigree/run/evaluator.hpp"

namespace filigree::detail {

/// The memory of one row of a pipeline.
template <Real S>
struct RowMemory {
  RowMemory(Index cols, ScratchFrame& frame)
      : values(frame.take<S>(cols + Row<S>::padding)), columns(frame.take<Column>(cols + Row<S>::padding)) {}
  S* values;
  Column* columns;
};

/// Returns row i of activations as a row of a pipeline, in memory that stages may overwrite. Entries that the preceding
/// layer does not keep are absent.
template <Real S>
Row<S> row_of(const Activations<S>& in, const Grid& grid, Index i, const RowMemory<S>& memory, WorkerScratch& scratch) {
  const auto [values, columns] = memory;
  if (!in.has_lists()) {
    std::copy_n(in.data + i * in.cols, in.cols, values);
    return present(grid, i, values, columns, scratch);
  }
  std::copy_n(in.lists.values + i * in.lists.stride, in.lists.counts[i], values);
  std::copy_n(in.lists.columns + i * in.lists.stride, in.lists.counts[i], columns);
  Row<S> row = make_row(grid, i, values, columns, in.lists.counts[i], scratch);
  if (in.lists.stores_absent) row.filter([&](Index e) { return row.values[e] != S(0); });
  return row;
}

/// Calls f(row) in parallel for the rows of activations.
template <Real S, class F>
void for_each_row_of(const Activations<S>& in, const Grid& grid, const Session& session, F&& f) {
  for (Index worker = 0; worker < session.concurrency(); ++worker) {  // any worker may run a task
    ScratchFrame frame(session.scratch(worker));
    (void)RowMemory<S>(in.cols, frame);
  }
  session.run(ceil_div(in.n, samples_per_task), [&](Index task, Index worker) {
    WorkerScratch& scratch = session.scratch(worker);
    ScratchFrame frame(scratch);
    const RowMemory<S> memory(in.cols, frame);
    for (Index i = task * samples_per_task; i < (std::min)((task + 1) * samples_per_task, in.n); ++i) {
      Row<S> row = row_of(in, grid, i, memory, scratch);
      f(row);
    }
  });
}

}  // namespace filigree::detail
