// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <utility>
#include <vector>

#include "filigree/core/integers.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/run/evaluator.hpp"

// Sinks receive each row after its last stage. A sink may be called concurrently for different rows.

namespace filigree::detail {

/// Writes rows to a dense target. Absent entries are 0.
template <Real S>
struct DenseSink {
  Target<S> to;
  Index first;  // the row of the matrix that is written to row 0 of the target

  void operator()(const Row<S>& row, WorkerScratch&) const {
    const Index i = row.index - first;
    if (to.op == Assign::set && to.col_stride == 1)
      std::fill_n(to.data + i * to.row_stride, row.grid.m, S(0));
    else if (to.op == Assign::set)
      for (Index c = 0; c < row.grid.m; ++c) to.store(i, c, S(0));
    for (Index e = 0; e < row.count; ++e) to.store(i, row.columns[e], row.values[e]);
  }
};

/// Collects rows in one list per block of rows, and builds a sparse matrix from the lists.
template <Real S>
class SparseSink {
 public:
  SparseSink(Index first, Index count, Index height)
      : first_(first),
        height_(height),
        counts_(static_cast<std::size_t>(count)),
        blocks_(static_cast<std::size_t>(ceil_div(count, height))) {}

  void operator()(const Row<S>& row, WorkerScratch&) {
    const Index i = row.index - first_;
    Block& block = blocks_[static_cast<std::size_t>(i / height_)];
    counts_[static_cast<std::size_t>(i)] = row.count;
    block.columns.insert(block.columns.end(), row.columns, row.columns + row.count);
    block.values.insert(block.values.end(), row.values, row.values + row.count);
  }

  /// Builds the sparse matrix. If `is_column`, the single row becomes a column.
  template <class Sparse>
  Sparse matrix(Index cols, bool is_column) const {
    using StorageIndex = typename Sparse::StorageIndex;
    const auto rows = static_cast<Index>(counts_.size());
    Index stored = 0;
    for (const Index count : counts_) stored += count;
    const auto max_index = static_cast<Index>(
        std::min<unsigned long long>((std::numeric_limits<StorageIndex>::max)(), (std::numeric_limits<Index>::max)()));
    require(stored <= max_index && rows <= max_index && cols <= max_index,
            "Sparse = A: the StorageIndex of the target must hold ", (std::max)({stored, rows, cols}),
            ", its largest value is ", max_index);
    Sparse result(is_column ? cols : rows, is_column ? rows : cols);
    result.resizeNonZeros(stored);
    StorageIndex* outer = result.outerIndexPtr();
    std::fill_n(outer, result.outerSize() + 1, StorageIndex(0));
    const bool by_column = bool(Sparse::IsRowMajor) == is_column;  // an outer vector is a column of our matrix
    for_each([&](Index i, Column c, S) { ++outer[(by_column ? Index(c) : i) + 1]; });
    for (Index o = 0; o < result.outerSize(); ++o) outer[o + 1] = static_cast<StorageIndex>(outer[o + 1] + outer[o]);
    std::vector<StorageIndex> next(outer, outer + result.outerSize());
    for_each([&](Index i, Column c, S value) {  // rows and columns ascend, so inner indices are sorted
      const auto at = next[static_cast<std::size_t>(by_column ? Index(c) : i)]++;
      result.innerIndexPtr()[at] = static_cast<StorageIndex>(by_column ? i : Index(c));
      result.valuePtr()[at] = value;
    });
    return result;
  }

 private:
  struct Block {
    std::vector<Column> columns;
    std::vector<S> values;
  };

  template <class F>
  void for_each(F&& f) const {
    std::size_t e = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      const std::size_t b = i / static_cast<std::size_t>(height_);
      if (i % static_cast<std::size_t>(height_) == 0) e = 0;
      for (Index k = 0; k < counts_[i]; ++k, ++e) f(static_cast<Index>(i), blocks_[b].columns[e], blocks_[b].values[e]);
    }
  }

  Index first_, height_;
  std::vector<Index> counts_;
  std::vector<Block> blocks_;
};

}  // namespace filigree::detail
