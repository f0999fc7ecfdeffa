// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/core/integers.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/list.hpp"
#include "filigree/run/evaluator.hpp"

// Sinks receive each row after its last stage. A sink may be called concurrently for different rows.

namespace filigree::detail {

/// Writes rows to a dense target. Absent entries are 0.
template <Real S>
struct DenseSink {
  Target<S> to;
  Index first;  // the row of the matrix that is written to row 0 of the target

  [[nodiscard]] const Target<S>& target() const { return to; }
  [[nodiscard]] Index first_row() const { return first; }

  void operator()(const Row<S>& row, WorkerScratch&) const {
    const Index i = row.index - first;
    if (to.op == Assign::set && to.col_stride == 1)
      std::fill_n(to.data + i * to.row_stride, row.grid.m, S(0));
    else if (to.op == Assign::set)
      for (Index c = 0; c < row.grid.m; ++c) to.store(i, c, S(0));
    for (Index e = 0; e < row.count; ++e) to.store(i, row.columns[e], row.values[e]);
  }
};

/// Collects rows in one list per worker, and builds a sparse matrix from them.
template <Real S>
class SparseSink {
 public:
  SparseSink(Index first, Index count, const Session& session) : first_(first), session_(session) {
    rows_.resize(count);
    for (Index worker = 0; worker < session.concurrency(); ++worker) session.scratch(worker).entries.count = 0;
  }

  void operator()(const Row<S>& row, WorkerScratch& scratch) {
    EntryList& list = scratch.entries;
    const Index begin = list.count, end = begin + row.count;
    std::copy_n(row.columns, row.count, list.columns.grow<Column>(end, begin) + begin);
    std::copy_n(row.values, row.count, list.values.grow<S>(end, begin) + begin);
    list.count = end;
    rows_[row.index - first_] = {&list, begin, row.count};
  }

  /// Returns the sparse matrix. If `is_column`, the single row becomes a column.
  template <class Sparse>
  Sparse matrix(Index cols, bool is_column) const {
    Sparse result;
    write(result, cols, is_column);
    return result;
  }
  /// Writes it to a matrix, whose memory is used again.
  template <class Sparse>
  void write(Sparse& result, Index cols, bool is_column) const {
    using StorageIndex = typename Sparse::StorageIndex;
    const Index rows = rows_.size();
    Index stored = 0;
    for (const Entries& row : rows_) stored += row.count;
    const auto max_index = static_cast<Index>(
        std::min<unsigned long long>((std::numeric_limits<StorageIndex>::max)(), (std::numeric_limits<Index>::max)()));
    require(stored <= max_index && rows <= max_index && cols <= max_index,
            "Sparse = A: the StorageIndex of the target must hold ", (std::max)({stored, rows, cols}),
            ", its largest value is ", max_index);
    result.resize(is_column ? cols : rows, is_column ? rows : cols);
    result.resizeNonZeros(stored);
    // An outer vector is a row or a column of our matrix.
    if (bool(Sparse::IsRowMajor) != is_column)
      write_rows(result.outerIndexPtr(), result.innerIndexPtr(), result.valuePtr());
    else
      write_columns(cols, result.outerIndexPtr(), result.innerIndexPtr(), result.valuePtr());
  }

 private:
  /// The entries of a row: [begin, begin + count) of a worker's list.
  struct Entries {
    const EntryList* list = nullptr;
    Index begin = 0, count = 0;

    [[nodiscard]] const Column* columns() const {
      return count > 0 ? list->columns.template data<Column>() + begin : nullptr;
    }
    [[nodiscard]] const S* values() const { return count > 0 ? list->values.template data<S>() + begin : nullptr; }
    /// Returns the number of entries in columns below `column`.
    [[nodiscard]] Index before(Column column) const {
      return column == 0 ? 0 : std::lower_bound(columns(), columns() + count, column) - columns();
    }
  };

  template <class StorageIndex>
  void write_rows(StorageIndex* outer, StorageIndex* inner, S* values) const {
    outer[0] = 0;
    for (Index i = 0; i < rows_.size(); ++i) outer[i + 1] = static_cast<StorageIndex>(outer[i] + rows_[i].count);
    constexpr Index batch = 64;
    session_.run(ceil_div(rows_.size(), batch), [&](Index task, Index) {
      for (Index i = task * batch; i < (std::min)((task + 1) * batch, rows_.size()); ++i) {
        const Entries& row = rows_[i];
        std::copy_n(row.columns(), row.count, inner + outer[i]);
        std::copy_n(row.values(), row.count, values + outer[i]);
      }
    });
  }

  template <class StorageIndex>
  void write_columns(Index cols, StorageIndex* outer, StorageIndex* inner, S* values) const {
    std::fill_n(outer, cols + 1, StorageIndex(0));
    for (const Entries& row : rows_)
      for (Index e = 0; e < row.count; ++e) ++outer[row.columns()[e] + 1];
    for (Index c = 0; c < cols; ++c) outer[c + 1] = static_cast<StorageIndex>(outer[c + 1] + outer[c]);
    const Index stored = outer[cols];
    if (stored == 0) return;
    List<StorageIndex> next;
    next.append(outer, outer + cols);
    constexpr Index large = Index{1} << 15;
    const bool sorts_blocks = stored >= large && stored / cols >= rows_.size() / 32;
    const Index tasks = stored < large ? 1 : (std::min)(session_.concurrency(), cols);
    session_.run(tasks, [&](Index task, Index) {  // a task writes a range of columns
      const auto begin = static_cast<Column>(cols * task / tasks), end = static_cast<Column>(cols * (task + 1) / tasks);
      if (sorts_blocks)
        scatter_blocks(begin, end, next.data(), inner, values);
      else
        scatter(begin, end, next.data(), inner, values);
    });
  }

  /// Writes the entries of columns [begin, end) row by row. next[c] is where the next entry of column c is written.
  template <class StorageIndex>
  void scatter(Column begin, Column end, StorageIndex* next, StorageIndex* inner, S* values) const {
    for (Index i = 0; i < rows_.size(); ++i) {
      const Entries& row = rows_[i];
      const Column* const columns = row.columns();
      const S* const from = row.values();
      for (Index e = row.before(begin); e < row.count && columns[e] < end; ++e) {
        const auto at = next[columns[e]]++;
        inner[at] = static_cast<StorageIndex>(i);
        values[at] = from[e];
      }
    }
  }

  /// The same by blocks of rows and columns, each of which is sorted by columns in the cache. Columns of equal
  /// length may start at addresses that a cache maps to the same set, so entries are not written one by one.
  template <class StorageIndex>
  void scatter_blocks(Column begin, Column end, StorageIndex* next, StorageIndex* inner, S* values) const {
    constexpr Index width = 64, height = 256, stride = height + 16;  // not a power of two
    List<S> block_values;
    List<StorageIndex> block_rows;
    List<Index> visited, sizes;  // of each row, the number of entries before the block; of each column, in the block
    block_values.resize(width * stride);
    block_rows.resize(width * stride);
    visited.resize(height);
    for (Index i = 0; i < rows_.size(); i += height) {
      const Index last = (std::min)(i + height, rows_.size());
      for (Index r = i; r < last; ++r) visited[r - i] = rows_[r].before(begin);
      for (Index c = begin; c < end; c += width) {
        const auto limit = static_cast<Column>((std::min)(c + width, Index{end}));
        sizes.assign(width, 0);
        for (Index r = i; r < last; ++r) {
          const Entries& row = rows_[r];
          const Column* const columns = row.columns();
          const S* const from = row.values();
          Index e = visited[r - i];
          for (; e < row.count && columns[e] < limit; ++e) {
            const Index column = columns[e] - c, at = column * stride + sizes[column]++;
            block_rows[at] = static_cast<StorageIndex>(r);
            block_values[at] = from[e];
          }
          visited[r - i] = e;
        }
        for (Index column = 0; column < limit - c; ++column) {
          const Index size = sizes[column];
          std::copy_n(block_rows.begin() + column * stride, size, inner + next[c + column]);
          std::copy_n(block_values.begin() + column * stride, size, values + next[c + column]);
          next[c + column] = static_cast<StorageIndex>(next[c + column] + size);
        }
      }
    }
  }

  Index first_;
  const Session& session_;
  List<Entries> rows_;
};

}  // namespace filigree::detail
