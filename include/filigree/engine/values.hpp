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
#include "filigree/core/list.hpp"
#include "filigree/engine/panels.hpp"
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

/// True if an engine reads rows of V only by the functions of ValueRows and CachedValues, which know how the rows of a
/// cache are stored.
template <class Engine>
inline constexpr bool reads_stored_values = false;
template <class Engine>
  requires(Engine::reads_stored_values)
inline constexpr bool reads_stored_values<Engine> = true;

/// The rows of V in the layout of the gather kernel: `stride` apart and padded to whole vectors.
template <Real S>
struct ValueRows {
  const S* data;
  Index stride, dv, padded;
  StoredNumbers<S> stored{};  // the rows, if they are stored in 16 bits; then `data` is null
  RowGap gap{};               // rows that are not in memory, in whole chunks

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
    return padded > 0 && !stored && gap.size == 0 && !aligned && n >= (std::max)(m / 4, Index{1});
  }
  /// True if all rows can be read at data + i * stride.
  [[nodiscard]] bool is_plain() const { return !stored && gap.size == 0; }
  /// Returns a copy of these m rows as S. Rows that are not in memory are copied as zeros.
  [[nodiscard]] ValueRows widened(Index m, const Session& session) const {
    return packed(m, dv, padded, session.values().get<S>(size_product(m, padded)), session, [&](Index i, S* to) {
      if (i >= gap.begin && i < gap.begin + gap.size)
        std::fill_n(to, dv, S(0));
      else if (stored)
        widen(stored.from(gap.place(i) * stride), dv, to);
      else
        std::copy_n(data + gap.place(i) * stride, dv, to);
    });
  }
  /// out = sum of weights[e] * row columns[e]
  void gather(S* out, const S* weights, const Column* columns, Index count, WorkerScratch& scratch) const {
    ScratchFrame frame(scratch);
    if (gap.size > 0) {
      Column* places = frame.take<Column>(count + Row<S>::padding);
      std::copy_n(columns, count, places);
      move_to_places(places, count);
      columns = places;
    }
    gather_places(out, weights, columns, count, false);
  }
  /// The same with the places of the rows in memory. If `add`, continues the sums that are in `out`.
  void gather_places(S* out, const S* weights, const Column* places, Index count, bool add) const {
    const auto& kernels = kernel::kernels<S>();
    if (stored)
      stored.kernels->gather(out, weights, places, count, stored, stride, padded, add);
    else
      kernels.gather(out, weights, places, count, data, stride, padded, add);
  }
  /// Replaces ascending columns by the places of their rows in memory.
  void move_to_places(Column* columns, Index count) const {
    for (Index e = count; e > 0 && columns[e - 1] >= gap.begin; --e) columns[e - 1] -= static_cast<Column>(gap.size);
  }
  /// Prefetches `count` rows, which are in memory.
  void request(Index first, Index count, Prefetcher& prefetcher) const {
    if (padded == 0) return;
    first = gap.place(first);
    if (stored)
      prefetcher.request(stored.data + first * stride, count, padded, stride);
    else
      prefetcher.request(data + first * stride, count, padded, stride);
  }
  /// Returns a copy of these m rows, which are not stored in 16 bits.
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

/// Values that are stored as engines read them.
template <class V>
concept StoredValues = requires(const V& v) {
  v.value_rows();
};

/// Returns the rows of V for a product of `n` rows by this engine.
template <class Engine, Real S, class V>
ValueRows<S> bind_values(const V& v, Index n, const Session& session) {
  if constexpr (StoredValues<V>) {
    const ValueRows<S> rows = v.value_rows();
    return reads_stored_values<Engine> || rows.is_plain() ? rows : rows.widened(v.rows(), session);
  } else {
    return ValueRows<S>::template bind<Engine>(reader_of(v), n, session);
  }
}

/// Rows of V, read in place or through each worker's cache of panels, whose rows are aligned. Rows that are stored in
/// 16 bits are widened in the registers of each group of queries, or when they are copied to the cache.
template <Real S>
struct CachedValues : ValueRows<S> {
  Index slots = 0;  // the number of panels in the cache; 0 if V is read in place

  /// Copies the rows of a panel, of m rows in total, to the cache, if it is used and does not hold them.
  void fetch(Index panel, Index width, Index m, WorkerScratch& scratch) const {
    if (slots == 0 || is_cached(panel, width, scratch)) return;
    const Index count = (std::min)(width, m - panel * width), first = this->gap.place(panel * width);
    const Index row = this->padded;
    S* to = scratch.value_panels.template slot<S>(panel, width * row);
    if (this->stored)
      widen(this->stored.from(first * row), count * row, to);
    else
      for (Index j = first; j < first + count; ++j, to += row) std::copy_n(this->data + j * this->stride, row, to);
  }
  /// Computes the state of `rows` queries over segments of the chunk that begins with a panel of `width` keys. Scores
  /// are replaced by weights.
  template <bool nonfinite>
  void attend(Index panel, Index width, S* scores, Index scores_stride, const List<kernel::Segment>& segments,
              Index rows, const kernel::RandomRow* random, const SoftmaxState<S>& to, WorkerScratch& scratch) const {
    const auto& kernels = kernel::kernels<S>();
    const auto count = static_cast<Index>(segments.size());
    const Index row = this->padded, first = row > 0 ? this->gap.place(panel * width) : 0;
    if (slots == 0 && this->stored)
      return (nonfinite ? this->stored.kernels->attend_nonfinite : this->stored.kernels->attend_chunk)(
          scores, scores_stride, segments.data(), count, this->stored.from(first * this->stride), this->stride, row,
          rows, random, to);
    const S* const from =
        slots > 0 ? scratch.value_panels.template slot<S>(panel, width * row) : this->data + first * this->stride;
    (nonfinite ? kernels.attend_nonfinite : kernels.attend_chunk)(
        scores, scores_stride, segments.data(), count, from, slots > 0 ? row : this->stride, row, rows, random, to);
  }

 private:
  bool is_cached(Index panel, Index width, WorkerScratch& scratch) const {
    if (this->stored)
      return scratch.value_panels.lookup(panel, this->stored.data + this->gap.place(panel * width) * this->padded);
    return scratch.value_panels.lookup(panel);
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
    if (v.gap.size > 0)
      for (Index r = 0; r < rows.count; ++r)  // the lists are not used afterwards
        v.move_to_places(rows.lists.columns + r * rows.lists.stride, rows.lists.count[r]);
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
        v.gather_places(out + r * v.padded, list.values + at, list.columns + at, next[r] - at, begin > 0);
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
    if (to.op == Assign::set && to.col_stride == 1 && v.padded == v.dv) {
      v.gather(to.data + i * to.row_stride, row.values, row.columns, row.count, scratch);
      return;
    }
    ScratchFrame frame(scratch);
    S* out = frame.take<S>(v.padded);
    v.gather(out, row.values, row.columns, row.count, scratch);
    to.store_row(i, out);
  }

 private:
  void put_lse(Index index, const kernel::LogSumExp<S>& sums) const { lse[index - first] = logsumexp(sums); }
};

static_assert(OutputSink<ProductSink<float>, float>);

}  // namespace filigree::detail
