// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <limits>

#include "filigree/core/integers.hpp"
#include "filigree/core/threads.hpp"
#include "filigree/engine/keys.hpp"

namespace filigree::detail {

/// The keys of a head that several evaluations on the same workers read, such as those of its query heads. There is one
/// memory for the panels of all of them. Either all panels are packed, or each is packed when it is first read. Without
/// memory, a panel is packed into the scratch memory of the worker that reads it, at each call of panel().
template <class Reader, Real S>
struct HeadKeys {
  using Scalar = S;
  static constexpr bool in_cache = false;
  enum State : unsigned char { unpacked, being_packed, packed_now };

  Reader reader;
  PackedPanels<S> panels = PackedPanels<S>::none(reader.rows(), reader.cols());
  std::atomic<unsigned char>* states = nullptr;  // [panels] null if all panels are packed, or none

  [[nodiscard]] Index rows() const { return panels.m; }
  [[nodiscard]] Index d() const { return panels.d; }
  template <class Panels>
  void pack(const Session&, Index, Panels&&) {}
  void reserve(WorkerScratch& scratch) const {
    if (panels.data == nullptr) scratch.keys.template reset<S>(1, panels.width * d());
  }
  const S* panel(Index p, WorkerScratch& scratch) const {
    if (panels.data == nullptr && d() > 0) {
      S* to = scratch.keys.template slot<S>(0, panels.width * d());
      pack_panel(reader, panels, p, to);
      return to;
    }
    if (states != nullptr && states[p].load(std::memory_order_acquire) != packed_now) pack_once(p);
    return panels.panel(p);
  }
  [[nodiscard]] const S* packed() const { return states == nullptr ? panels.data : nullptr; }
  [[nodiscard]] Range dropped() const { return {0, 0}; }
  void gather(const Column* columns, Index count, S* to) const { gather_panel(reader, panels, columns, count, to); }
  void copy(Index j, S* to) const { reader.copy_row(j, to); }
  [[nodiscard]] kernel::StridedRows<const S> in_place() const {
    if constexpr (Reader::direct && std::same_as<typename Reader::Scalar, S>)
      if (reader.contiguous_rows()) return {reader.data(), reader.row_stride()};
    return {nullptr, 0};
  }
  void prefetch(Index p, Prefetcher& prefetcher) const {
    if (packed() != nullptr || (states != nullptr && states[p].load(std::memory_order_relaxed) == packed_now))
      prefetcher.request(panels.panel(p), panels.width, d(), d());
    else
      request_rows(reader, p * panels.width, (std::min)(panels.width, panels.m - p * panels.width), prefetcher);
  }
  [[nodiscard]] Index cached_panels() const { return panels.data != nullptr ? (std::numeric_limits<Index>::max)() : 1; }
  [[nodiscard]] Index max_repacks() const { return 0; }

 private:
  /// Packs panel p, or waits until another worker has packed it.
  void pack_once(Index p) const {
    unsigned char expected = unpacked;
    if (states[p].compare_exchange_strong(expected, being_packed, std::memory_order_acquire)) {
      pack_panel(reader, panels, p, const_cast<S*>(panels.panel(p)));
      states[p].store(packed_now, std::memory_order_release);
    }
    while (states[p].load(std::memory_order_acquire) != packed_now) yield_thread();
  }
};

}  // namespace filigree::detail
