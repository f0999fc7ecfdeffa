// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "filigree/core/lazy.hpp"
#include "filigree/pipe/evaluator.hpp"
#include "filigree/pipe/widen.hpp"

// Where rows go after their last stage. A sink is called for different rows at the same time.

namespace filigree::detail {

/// Into a dense target: absent entries are 0.
template <Real S>
struct DenseSink {
  Target<S> to;
  Index first;  // row of the matrix that is row 0 of the target

  void operator()(const Row<S>& row, WorkerScratch&) const {
    const Index i = row.index - first;
    if (to.op == Assign::set && to.col_stride == 1)
      std::fill_n(to.data + i * to.row_stride, row.grid.m, S(0));
    else if (to.op == Assign::set)
      for (Index c = 0; c < row.grid.m; ++c) to.put(i, c, S(0));
    for (Index e = 0; e < row.count; ++e) to.put(i, row.columns[e], row.values[e]);
  }
};

/// Into lists, one for each block of rows, from which a sparse matrix is put together.
template <Real S>
class SparseSink {
 public:
  SparseSink(Index first, Index count, Index height)
      : first_(first),
        height_(height),
        counts_(static_cast<std::size_t>(count)),
        blocks_(static_cast<std::size_t>((count + height - 1) / height)) {}

  void operator()(const Row<S>& row, WorkerScratch&) {
    const Index i = row.index - first_;
    Block& block = blocks_[static_cast<std::size_t>(i / height_)];
    counts_[static_cast<std::size_t>(i)] = row.count;
    block.columns.insert(block.columns.end(), row.columns, row.columns + row.count);
    block.values.insert(block.values.end(), row.values, row.values + row.count);
  }

  /// `is_column`: the one row becomes a column.
  template <class Sparse>
  Sparse matrix(Index cols, bool is_column) const {
    using StorageIndex = typename Sparse::StorageIndex;
    const auto rows = static_cast<Index>(counts_.size());
    Index stored = 0;
    for (const Index count : counts_) stored += count;
    const auto most = static_cast<Index>(
        std::min<unsigned long long>((std::numeric_limits<StorageIndex>::max)(), (std::numeric_limits<Index>::max)()));
    require(stored <= most && rows <= most && cols <= most, "Sparse = A: the StorageIndex of the target must hold ",
            (std::max)({stored, rows, cols}), ", its largest value is ", most);
    Sparse result(is_column ? cols : rows, is_column ? rows : cols);
    result.resizeNonZeros(stored);
    StorageIndex* outer = result.outerIndexPtr();
    std::fill_n(outer, result.outerSize() + 1, StorageIndex(0));
    const bool by_column = bool(Sparse::IsRowMajor) == is_column;  // outer vectors run along our columns
    for_each([&](Index i, Column c, S) { ++outer[(by_column ? Index(c) : i) + 1]; });
    for (Index o = 0; o < result.outerSize(); ++o) outer[o + 1] = static_cast<StorageIndex>(outer[o + 1] + outer[o]);
    std::vector<StorageIndex> next(outer, outer + result.outerSize());
    for_each([&](Index i, Column c, S value) {  // ascending rows and columns: inner indices come out sorted
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

/// Whether an engine copies rows of V to where it wants them.
template <class Engine>
inline constexpr bool aligns_values = false;
template <class Engine>
  requires(Engine::aligns_values)
inline constexpr bool aligns_values<Engine> = true;

/// The rows of V, as the gather kernel reads them: `stride` apart and padded to whole vectors.
template <Real S>
struct ValueRows {
  const S* data;
  Index stride, dv, padded;

  /// V for `n` rows of a product by this engine.
  template <class Engine, class R>
  static ValueRows bind(const R& v, Index n, const Session& session) {
    return bind(v, aligns_values<Engine> ? 0 : n, session, [&](Index count) { return session.values().get<S>(count); });
  }

  /// V where it lies if its rows can be read as they are, else packed, as S, into memory from room(count). `n` rows of
  /// the product will read them: for many, rows that start on whole vectors are worth a copy.
  template <class R, class Room>
  static ValueRows bind(const R& v, Index n, const Session& session, Room&& room) {
    const Index lanes = kernel::kernels<S>().lanes, padded = (v.cols() + lanes - 1) / lanes * lanes;
    S* memory = room(size_product(v.rows(), padded));  // in any case, so that a smaller problem later needs no more
    if constexpr (R::direct && std::is_same_v<typename R::Scalar, S>) {
      const ValueRows rows = {v.data(), v.row_stride(), v.cols(), padded};
      if (v.contiguous_rows() && padded == v.cols() && !rows.worth_a_copy(n, v.rows())) return rows;
    }
    return packed(v.rows(), v.cols(), padded, memory, session, [&](Index i, S* to) { read_row(v, i, to); });
  }

  /// Whether `n` rows of a product with these m gain from a copy in which none of their vectors crosses a cache line.
  [[nodiscard]] bool worth_a_copy(Index n, Index m) const {
    const Index lanes = kernel::kernels<S>().lanes;
    const bool aligned = reinterpret_cast<std::uintptr_t>(data) % (static_cast<std::size_t>(lanes) * sizeof(S)) == 0 &&
                         stride % lanes == 0;
    return padded > 0 && !aligned && n >= (std::max)(m / 4, Index{1});
  }
  /// A copy of these m rows.
  [[nodiscard]] ValueRows copied(Index m, const Session& session) const {
    return packed(m, dv, padded, session.values().get<S>(m * padded), session,
                  [&](Index i, S* to) { std::copy_n(data + i * stride, dv, to); });
  }

 private:
  template <class Read>
  static ValueRows packed(Index m, Index dv, Index padded, S* to, const Session& session, Read&& read) {
    constexpr Index batch = 512;
    session.run((m + batch - 1) / batch, [&](Index task, Index) {
      for (Index i = task * batch; i < (std::min)((task + 1) * batch, m); ++i) {
        read(i, to + i * padded);
        std::fill(to + i * padded + dv, to + (i + 1) * padded, S(0));
      }
    });
    return {to, padded, dv, padded};
  }
};

/// Into a product with V: row i of the target is the sum of values[e] * V.row(columns[e]), in ascending columns; and
/// the logsumexp of each row, if asked for.
template <Real S>
struct ProductSink {
  Target<S> to;
  Index first;
  ValueRows<S> v;
  S* lse = nullptr;  // of row `first` and those after it

  void reserve(WorkerScratch& scratch) const { scratch.out.get<S>(v.padded); }

  [[nodiscard]] const ValueRows<S>& values() const { return v; }

  /// Rows that will be taken.
  void request(Index index, Index rows, Prefetcher& prefetcher) const {
    if (to.col_stride == 1 && to.cols > 0)
      prefetcher.request(to.data + (index - first) * to.row_stride, rows, to.cols, to.row_stride);
  }
  /// Row `index` from an engine that has done the product.
  void take(Index index, const S* out, const kernel::LogSumExp<S>& sums) const {
    to.put_row(index - first, out);
    if (lse != nullptr) put_lse(index, sums);
  }

  void operator()(const Row<S>& row, WorkerScratch& scratch) const {
    const Index i = row.index - first;
    if (lse != nullptr) put_lse(row.index, {row.maximum, row.sum});
    const auto gather = kernel::kernels<S>().gather;
    if (to.op == Assign::set && to.col_stride == 1 && v.padded == v.dv) {
      gather(to.data + i * to.row_stride, row.values, row.columns, row.count, v.data, v.stride, v.dv);
      return;
    }
    S* out = scratch.out.get<S>(v.padded);
    gather(out, row.values, row.columns, row.count, v.data, v.stride, v.padded);
    to.put_row(i, out);
  }

 private:
  void put_lse(Index index, const kernel::LogSumExp<S>& sums) const {
    lse[index - first] = sums.sum == S(0) ? sums.maximum : sums.maximum + std::log(sums.sum);
  }
};

}  // namespace filigree::detail
