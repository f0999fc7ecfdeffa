// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "filigree/core/cache.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/prefetcher.hpp"
#include "filigree/engine/panels.hpp"
#include "filigree/run/workspace.hpp"

// The keys of a problem.

namespace filigree::detail {

/// Rows of d numbers that engines read as keys:
///
/// - pack(session, count, panels) may pack all keys before `count` queries read them. panels() returns how many panels
///   neighboring queries read; it is called only if needed. Engines call it once, before all other members.
/// - reserve(scratch) allocates the panel cache of a worker, and empties it.
/// - panel(p, scratch) returns panel p as [d][width]. packed() returns all panels if they are contiguous, or null.
/// - gather(columns, count, to) packs `count` keys as one panel. The padding of the panel is unspecified.
/// - copy(j, to) copies key j. in_place() returns the keys in memory if each key is contiguous, or null.
/// - dropped() returns columns whose scores are absent. Engines do not call panel(p) if all keys of a panel are
/// dropped.
///   A dropped key is copied and gathered as zeros.
/// - prefetch(p, prefetcher) prefetches the memory that panel(p) will read. in_cache is true if that is never useful.
/// - cached_panels() returns how many consecutive panels the pointers of panel() stay valid for at the same time.
/// - max_repacks() returns how many times all panels can be packed in less time than writing them to memory and reading
///   them again takes.
template <class K>
concept Keys = requires(K& unpacked, const K& keys, Index i, const Column* columns, typename K::Scalar* to,
                        const Session& session, Index (*panels)(), WorkerScratch& scratch, Prefetcher& prefetcher) {
  { keys.rows() } -> std::same_as<Index>;
  { keys.d() } -> std::same_as<Index>;
  { unpacked.pack(session, i, panels) } -> std::same_as<void>;
  { keys.reserve(scratch) } -> std::same_as<void>;
  { keys.panel(i, scratch) } -> std::same_as<const typename K::Scalar*>;
  { keys.packed() } -> std::same_as<const typename K::Scalar*>;
  { keys.dropped() } -> std::same_as<Range>;
  { keys.gather(columns, i, to) } -> std::same_as<void>;
  { keys.copy(i, to) } -> std::same_as<void>;
  { keys.in_place() } -> std::same_as<kernel::StridedRows<const typename K::Scalar>>;
  { keys.prefetch(i, prefetcher) } -> std::same_as<void>;
  { keys.cached_panels() } -> std::same_as<Index>;
  { keys.max_repacks() } -> std::same_as<Index>;
  { K::in_cache } -> std::convertible_to<bool>;
};

/// Keys that are packed as panels. A worker widens a panel that is stored in 16 bits when it reads it.
template <Real S>
struct PanelKeys {
  using Scalar = S;
  static constexpr bool in_cache = false;
  PackedPanels<S> panels;

  [[nodiscard]] Index rows() const { return panels.m; }
  [[nodiscard]] Index d() const { return panels.d; }
  template <class Panels>
  void pack(const Session&, Index, Panels&&) {}
  void reserve(WorkerScratch& scratch) const {
    if (panels.stored) scratch.keys.template reset<S>(slots(), size());
  }
  const S* panel(Index p, WorkerScratch& scratch) const {
    if (!panels.stored) return panels.panel(p);
    S* to = scratch.keys.template slot<S>(p, size());
    const StoredNumbers<S> numbers = panels.stored.from(panels.index(p));
    if (!scratch.keys.lookup(p, numbers.data)) widen(numbers, size(), to);
    return to;
  }
  /// Returns panel p as it is stored, if that is in 16 bits.
  [[nodiscard]] StoredNumbers<S> stored_panel(Index p) const {
    return panels.stored ? panels.stored.from(panels.index(p)) : panels.stored;
  }
  [[nodiscard]] const S* packed() const { return panels.gap.size == 0 ? panels.data : nullptr; }
  [[nodiscard]] Range dropped() const { return panels.dropped; }
  void gather(const Column* columns, Index count, S* to) const {
    if (d() == 0) return;  // there may be no memory
    if (panels.stored) return gather_stored(columns, count, to);
    for (Index c = 0; c < panels.width; ++c) {
      const Index j = columns[(std::min)(c, count - 1)];
      const S* from = is_dropped(j) ? nullptr : panels.data + key(j);
      if (from == nullptr)
        for (Index f = 0; f < d(); ++f) to[f * panels.width + c] = S(0);
      else
        for (Index f = 0; f < d(); ++f) to[f * panels.width + c] = from[f * panels.width];
    }
  }
  void copy(Index j, S* to) const {
    if (d() == 0) return;
    if (is_dropped(j)) return static_cast<void>(std::fill_n(to, d(), S(0)));
    if (panels.stored) return copy_stored(j, to);
    const S* from = panels.data + key(j);
    for (Index f = 0; f < d(); ++f) to[f] = from[f * panels.width];
  }
  [[nodiscard]] kernel::StridedRows<const S> in_place() const { return {nullptr, 0}; }
  void prefetch(Index p, Prefetcher& prefetcher) const {
    if (panels.stored)
      prefetcher.request(panels.stored.data + panels.index(p), panels.width, d(), d());
    else
      prefetcher.request(panels.panel(p), panels.width, d(), d());
  }
  [[nodiscard]] Index cached_panels() const { return panels.stored ? slots() : (std::numeric_limits<Index>::max)(); }
  [[nodiscard]] Index max_repacks() const { return 0; }

 private:
  [[nodiscard]] Index size() const { return panels.width * panels.d; }
  [[nodiscard]] Index slots() const { return PanelCache::slots(static_cast<std::size_t>(size()) * sizeof(S)); }
  [[nodiscard]] bool is_dropped(Index j) const { return j >= panels.dropped.begin && j < panels.dropped.end; }
  /// Returns the index of the first feature of key j. The features are `width` numbers apart.
  [[nodiscard]] Index key(Index j) const { return panels.index(j / panels.width) + j % panels.width; }

  // Numbers are collected in batches that are widened together.
  static constexpr Index max_batch = 1024;
  void gather_stored(const Column* columns, Index count, S* to) const {
    std::uint16_t numbers[max_batch];
    const Index width = panels.width, batch = max_batch / width;
    for (Index f = 0; f < d(); f += batch) {
      const Index features = (std::min)(batch, d() - f);
      for (Index c = 0; c < width; ++c) {
        const Index j = columns[(std::min)(c, count - 1)];
        const bool zero = is_dropped(j);
        const std::uint16_t* from = zero ? nullptr : panels.stored.data + (key(j) + f * width);
        for (Index i = 0; i < features; ++i) numbers[i * width + c] = zero ? std::uint16_t(0) : from[i * width];
      }
      widen(StoredNumbers<S>{numbers, panels.stored.storage, panels.stored.kernels}, features * width, to + f * width);
    }
  }
  void copy_stored(Index j, S* to) const {
    std::uint16_t numbers[max_batch];
    for (Index f = 0; f < d(); f += max_batch) {
      const Index features = (std::min)(max_batch, d() - f);
      const std::uint16_t* from = panels.stored.data + (key(j) + f * panels.width);
      for (Index i = 0; i < features; ++i) numbers[i] = from[i * panels.width];
      widen(StoredNumbers<S>{numbers, panels.stored.storage, panels.stored.kernels}, features, to + f);
    }
  }
};

/// Keys that were packed by the worker that reads them.
template <Real S>
struct GatheredKeys : PanelKeys<S> {
  static constexpr bool in_cache = true;
};

/// Packs the keys at `columns`, which are ascending if keys are dropped, as panels in
/// PackedPanels<S>::size(columns.size(), d) numbers at `to`.
template <Keys K, Real S>
GatheredKeys<S> gather_keys(const K& keys, std::span<const Column> columns, S* to) {
  PackedPanels<S> panels = {to, static_cast<Index>(columns.size()), keys.d(), kernel::kernels<S>().width};
  if (const Range dropped = keys.dropped(); dropped.begin < dropped.end) {
    const auto index_of = [&](Index j) {
      return std::lower_bound(columns.begin(), columns.end(), j) - columns.begin();
    };
    panels.dropped = {index_of(dropped.begin), index_of(dropped.end)};
  }
  for (Index p = 0; p < panels.panels() && panels.d > 0; ++p) {
    const Index first = p * panels.width;
    keys.gather(columns.data() + first, (std::min)(panels.width, panels.m - first), to + first * panels.d);
  }
  return {{panels}};
}

/// The rows of a matrix or expression, packed as panels when they are read, or before that if this is faster.
template <class Reader, Real S>
struct StreamedKeys {
  using Scalar = S;
  static constexpr bool in_cache = false;
  Reader reader;
  PackedPanels<S> panels = PackedPanels<S>::none(reader.rows(), reader.cols());
  Index slots = 1;  // of the panel cache of each worker

  [[nodiscard]] Index rows() const { return panels.m; }
  [[nodiscard]] Index d() const { return panels.d; }
  /// Does nothing for few queries, or if the panels that neighboring queries read fit into the L2 cache of each worker.
  /// Each worker then packs a panel when it first reads it, and later reads hit the panel cache.
  template <class Panels>
  void pack(const Session& session, Index count, Panels&& panels_read) {
    if (packed() != nullptr || count <= max_unpacked_queries || d() == 0) return;
    const Index cached = PanelCache::slots(static_cast<std::size_t>(panels.width * d()) * sizeof(S));
    if (panels_read() <= cached)
      slots = cached;
    else
      panels = pack_panels<S>(reader, session.keys(), session);
  }
  void reserve(WorkerScratch& scratch) const {
    scratch.keys.template reset<S>(slots, panels.width * d());  // at least one slot, for later calls with few queries
  }
  const S* panel(Index p, WorkerScratch& scratch) const {
    if (packed() != nullptr || d() == 0) return panels.panel(p);
    S* to = scratch.keys.template slot<S>(p, panels.width * d());
    if (!scratch.keys.lookup(p)) pack_panel(reader, panels, p, to);
    return to;
  }
  [[nodiscard]] const S* packed() const { return panels.data; }
  [[nodiscard]] Range dropped() const { return panels.dropped; }
  void gather(const Column* columns, Index count, S* to) const { gather_panel(reader, panels, columns, count, to); }
  void copy(Index j, S* to) const { reader.copy_row(j, to); }
  [[nodiscard]] kernel::StridedRows<const S> in_place() const {
    if constexpr (Reader::direct && std::same_as<typename Reader::Scalar, S>)
      if (reader.contiguous_rows()) return {reader.data(), reader.row_stride()};
    return {nullptr, 0};
  }
  void prefetch(Index p, Prefetcher& prefetcher) const {
    if (packed() != nullptr)
      prefetcher.request(panels.panel(p), panels.width, d(), d());
    else
      request_rows(reader, p * panels.width, (std::min)(panels.width, panels.m - p * panels.width), prefetcher);
  }
  [[nodiscard]] Index cached_panels() const {
    return packed() != nullptr ? (std::numeric_limits<Index>::max)() : slots;
  }
  /// 0 if the keys are packed or small, 1 if they are an expression or are stored by features.
  [[nodiscard]] Index max_repacks() const {
    if (panels.m * d() * static_cast<Index>(sizeof(S)) <= cache_budget().packed) return 0;
    return reader.contiguous_rows() ? 3 : 1;
  }

 private:
  static constexpr Index max_unpacked_queries = 16;
};

}  // namespace filigree::detail
