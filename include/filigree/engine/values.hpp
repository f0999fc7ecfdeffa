// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "filigree/core/cache.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/run/evaluator.hpp"
#include "filigree/run/widen.hpp"
#include "filigree/run/workspace.hpp"

// The rows of V, and the sink that multiplies weights by them.

namespace filigree::detail {

/// True if an engine copies rows of V into its own aligned memory.
template <class Engine>
inline constexpr bool aligns_values = false;
template <class Engine>
  requires(Engine::aligns_values)
inline constexpr bool aligns_values<Engine> = true;

/// The rows of V in the layout of the gather kernel: `stride` apart and padded to whole vectors.
template <Real S>
struct ValueRows {
  const S* data;
  Index stride, dv, padded;

  /// Returns the rows of V for a product of `n` rows by this engine.
  template <class Engine, class R>
  static ValueRows bind(const R& v, Index n, const Session& session) {
    return bind(v, aligns_values<Engine> ? 0 : n, session, [&](Index count) { return session.values().get<S>(count); });
  }

  /// Returns V in place if the kernel can read its rows there. Otherwise packs the rows, as S, into memory from
  /// allocate(count). If many rows of the product (`n`) read V, aligned copies of its rows are faster.
  template <class R, class Allocate>
  static ValueRows bind(const R& v, Index n, const Session& session, Allocate&& allocate) {
    const Index lanes = kernel::kernels<S>().lanes, padded = round_up(v.cols(), lanes);
    // Allocates even without a copy, so that a later, smaller problem that needs one allocates nothing.
    S* memory = allocate(size_product(v.rows(), padded));
    if constexpr (R::direct && std::is_same_v<typename R::Scalar, S>) {
      const ValueRows rows = {v.data(), v.row_stride(), v.cols(), padded};
      if (v.contiguous_rows() && padded == v.cols() && !rows.benefits_from_copy(n, v.rows())) return rows;
    }
    return packed(v.rows(), v.cols(), padded, memory, session, [&](Index i, S* to) { read_row(v, i, to); });
  }

  /// Returns true if a product of `n` rows with these m rows is faster with a copy in which no vector crosses a cache
  /// line.
  [[nodiscard]] bool benefits_from_copy(Index n, Index m) const {
    const Index lanes = kernel::kernels<S>().lanes;
    const bool aligned = reinterpret_cast<std::uintptr_t>(data) % (static_cast<std::size_t>(lanes) * sizeof(S)) == 0 &&
                         stride % lanes == 0;
    return padded > 0 && !aligned && n >= (std::max)(m / 4, Index{1});
  }
  /// Returns a copy of these m rows.
  [[nodiscard]] ValueRows copy(Index m, const Session& session) const {
    return packed(m, dv, padded, session.values().get<S>(m * padded), session,
                  [&](Index i, S* to) { std::copy_n(data + i * stride, dv, to); });
  }

 private:
  template <class Read>
  static ValueRows packed(Index m, Index dv, Index padded, S* to, const Session& session, Read&& read) {
    constexpr Index batch = 512;
    session.run(ceil_div(m, batch), [&](Index task, Index) {
      for (Index i = task * batch; i < (std::min)((task + 1) * batch, m); ++i) {
        read(i, to + i * padded);
        std::fill(to + i * padded + dv, to + (i + 1) * padded, S(0));
      }
    });
    return {to, padded, dv, padded};
  }
};

/// Rows of V, read in place or through each worker's cache of panels, whose rows are aligned.
template <Real S>
struct CachedValues : ValueRows<S> {
  Index slots = 0;  // the number of panels in the cache; 0 if V is read in place

  /// Returns the rows from the first key of a panel of `width` keys on, and their stride.
  std::pair<const S*, Index> from(Index panel, Index width, WorkerScratch& scratch) const {
    const Index row = this->padded;
    if (slots == 0) return {row > 0 ? this->data + panel * width * this->stride : this->data, this->stride};
    return {scratch.value_panels.template slot<S>(panel, width * row), row};
  }
  /// Copies the rows of a panel, of m rows in total, to the cache, if it is used and does not hold them.
  void fetch(Index panel, Index width, Index m, WorkerScratch& scratch) const {
    if (slots == 0 || scratch.value_panels.lookup(panel)) return;
    const Index first = panel * width, row = this->padded;
    S* to = scratch.value_panels.template slot<S>(panel, width * row);
    for (Index j = first; j < (std::min)(first + width, m); ++j, to += row)
      std::copy_n(this->data + j * this->stride, row, to);
  }
};

/// A sink of engines that compute outputs and not rows of weights. take(i, out, sums) takes the output of row i.
template <class T, class S>
concept OutputSink = requires(const T& sink, Index i, const S* out, const kernel::LogSumExp<S>& sums) {
  { sink.values() } -> std::convertible_to<const ValueRows<S>&>;
  { sink.take(i, out, sums) } -> std::same_as<void>;
};

/// Multiplies rows by V: row i of the target is the sum of values[e] * V.row(columns[e]), in ascending columns. Also
/// writes the logsumexp of each row unless `lse` is null.
template <Real S>
struct ProductSink {
  Target<S> to;
  Index first;
  ValueRows<S> v;
  S* lse = nullptr;  // lse[0] belongs to row `first`

  void reserve(ScratchFrame& frame) const { frame.take<S>(v.padded); }

  [[nodiscard]] const ValueRows<S>& values() const { return v; }

  /// Prefetches target rows that take() will write.
  void request(Index index, Index rows, Prefetcher& prefetcher) const {
    if (to.col_stride == 1 && to.cols > 0)
      prefetcher.request(to.data + (index - first) * to.row_stride, rows, to.cols, to.row_stride);
  }
  /// Writes the output of row `index`, from an engine that computes the product itself.
  void take(Index index, const S* out, const kernel::LogSumExp<S>& sums) const {
    to.store_row(index - first, out);
    if (lse != nullptr) put_lse(index, sums);
  }

  /// Returns the target rows from row `index` on, if an engine may write outputs there instead of calling take(). It
  /// then calls take_sums(). Otherwise returns null.
  [[nodiscard]] kernel::StridedRows<S> in_place(Index index) const {
    if (to.op != Assign::set || to.col_stride != 1 || v.padded != v.dv) return {nullptr, 0};
    return {to.data + (index - first) * to.row_stride, to.row_stride};
  }
  void take_sums(Index index, const kernel::LogSumExp<S>& sums) const {
    if (lse != nullptr) put_lse(index, sums);
  }

  /// Multiplies several rows by V, a chunk of V at a time: if V exceeds the second-level cache, each row of V is read
  /// from memory once for all rows and not for each.
  void take_rows(const FinishedRows<S>& rows, WorkerScratch& scratch) const {
    const Index chunk = std::max<Index>(cache_budget().panel_cache / 8 / (v.padded * static_cast<Index>(sizeof(S))), 1);
    ScratchFrame frame(scratch);
    S* out = frame.take<S>(rows.count * v.padded);
    Index* next = frame.take<Index>(rows.count);
    std::fill_n(next, rows.count, Index{0});
    constexpr Index ahead = 3, requested = 64, per_line = 64 / sizeof(S);  // rows, entries, and entries of a cache line
    for (Index begin = 0; begin < rows.m; begin += chunk) {
      for (Index r = 0; r < rows.count; ++r) {
        const kernel::Candidates<S> list = rows.lists.from(r);
        // The lists exceed the second-level cache, and a processor does not recognize the order in which they are read.
        if (r + ahead < rows.count) {
          const kernel::Candidates<S> soon = rows.lists.from(r + ahead);
          for (Index e = 0; e < requested; e += per_line) {
            __builtin_prefetch(soon.values + next[r + ahead] + e);
            __builtin_prefetch(soon.columns + next[r + ahead] + e);
          }
        }
        const Index at = next[r];
        while (next[r] < *list.count && list.columns[next[r]] < begin + chunk) ++next[r];
        kernel::kernels<S>().gather(out + r * v.padded, list.values + at, list.columns + at, next[r] - at, v.data,
                                    v.stride, v.padded, begin > 0);
      }
    }
    for (Index r = 0; r < rows.count; ++r) {
      to.store_row(rows.first + r - first, out + r * v.padded);
      if (lse != nullptr) put_lse(rows.first + r, rows.sums[r]);
    }
  }
  /// Returns true if V exceeds the second-level cache and the rows have several entries for each row of V.
  [[nodiscard]] bool prefers_rows(Index entries, Index m) const {
    return v.padded > 0 && m * v.padded * static_cast<Index>(sizeof(S)) > 2 * cache_budget().panel_cache &&
           entries >= 4 * m;
  }

  void operator()(const Row<S>& row, WorkerScratch& scratch) const {
    const Index i = row.index - first;
    if (lse != nullptr) put_lse(row.index, {row.maximum, row.sum});
    const kernel::Kernels<S>& kernels = kernel::kernels<S>();
    if (to.op == Assign::set && to.col_stride == 1 && v.padded == v.dv) {
      kernels.gather(to.data + i * to.row_stride, row.values, row.columns, row.count, v.data, v.stride, v.dv);
      return;
    }
    ScratchFrame frame(scratch);
    S* out = frame.take<S>(v.padded);
    kernels.gather(out, row.values, row.columns, row.count, v.data, v.stride, v.padded);
    to.store_row(i, out);
  }

 private:
  void put_lse(Index index, const kernel::LogSumExp<S>& sums) const { lse[index - first] = logsumexp(sums); }
};

static_assert(OutputSink<ProductSink<float>, float>);

}  // namespace filigree::detail
