// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <utility>

#include "filigree/core/cache.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/executor.hpp"
#include "filigree/core/list.hpp"
#include "filigree/core/prefetcher.hpp"
#include "filigree/pipe/ranges.hpp"
#include "filigree/pipe/row.hpp"

namespace filigree {

namespace detail {

/// A direct-mapped cache of equally large items, such as packed panels of keys: item i is in slot i modulo the number
/// of slots, a power of two.
class PanelCache {
 public:
  /// The number of slots for items of this many bytes that fit into this cache's part of the second-level cache.
  static Index slots(std::size_t bytes) {
    const auto capacity = static_cast<std::size_t>(cache_shares().panel_cache);
    return static_cast<Index>(std::bit_floor((std::max)(capacity / (std::max)(bytes, std::size_t{1}), std::size_t{1})));
  }
  /// Empties the cache and allocates its slots.
  template <class T>
  void reset(Index slots, Index size) {
    memory_.get<T>(slots * size);
    items_.assign(slots, Index(-1));
  }
  template <class T>
  T* slot(Index i, Index size) {
    return memory_.get<T>(0) + slot_of(i) * size;
  }
  /// Returns true if item i is in its slot. If not, the caller must write it there: the slot is assigned to it.
  bool lookup(Index i) { return std::exchange(items_[slot_of(i)], i) == i; }

 private:
  [[nodiscard]] Index slot_of(Index i) const { return i & (items_.size() - 1); }

  Buffer memory_;
  List<Index> items_;
};

/// What one worker needs while it evaluates a block of rows.
struct WorkerScratch {
  PanelCache keys, value_panels;  // by panels of keys
  Buffer queries, tile, values, columns, counts, bounds, out, sums;
  Buffer gathered, gathered_columns;       // keys that were gathered, as panels
  Buffer gathered_rows, gathered_queries;  // rows of V and queries that were
  Index gathered_count = 0;
  const void* gathered_by = nullptr;
  Buffer kept_values, kept_columns, kept_counts;
  RowScratch row;
  Coverage coverage;       // of the queries that are being planned
  KeySpans block, before;  // of a block of queries, and of the one that was computed before it
  Prefetcher prefetcher;
  List<KeySpans> groups;  // of a few of them each
  List<KeySpans> rows;    // of each of them
  List<kernel::Segment> segments;
  bool alike = false;  // all queries of the block see the same keys
  bool groups_planned = false;
  List<char> rows_planned;  // for each group
};

class Session;

}  // namespace detail

/// Memory that evaluations may reuse: after the first of a size, the hot path allocates nothing.
///
/// Used by one evaluation at a time; grows to the largest and keeps what it has.
/// Throws  Error when a second evaluation starts while one is running
class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

 private:
  friend class detail::Session;
  detail::Buffer keys_, values_;
  detail::StableList<detail::Buffer> more_;
  detail::StableList<detail::WorkerScratch> workers_;
  std::atomic<bool> busy_{false};
};

namespace detail {

/// Who computes, and in whose memory.
struct Execution {
  ExecutorRef executor;
  Workspace* workspace = nullptr;
};

/// One evaluation: holds the caller's workspace, or one of its own, until it is done.
class Session {
 public:
  explicit Session(const Execution& execution)
      : executor_(execution.executor),
        workspace_(execution.workspace != nullptr ? *execution.workspace : own_),
        claim_(workspace_.busy_) {
    while (workspace_.workers_.size() < executor_.concurrency()) workspace_.workers_.grow();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] Index concurrency() const { return executor_.concurrency(); }
  void run(Index tasks, TaskRef f) const { executor_.run(tasks, f); }

  [[nodiscard]] Buffer& keys() const { return workspace_.keys_; }
  [[nodiscard]] Buffer& values() const { return workspace_.values_; }
  /// Memory of an engine, which keeps it for the evaluation. Engines ask in the same order each time.
  [[nodiscard]] Buffer& memory() const {
    if (taken_ == workspace_.more_.size()) workspace_.more_.grow();
    return workspace_.more_[taken_++];
  }
  [[nodiscard]] WorkerScratch& scratch(Index worker) const { return workspace_.workers_[worker]; }

 private:
  /// Gives the workspace back at its end, which comes even if the session's constructor throws.
  class Claim {
   public:
    explicit Claim(std::atomic<bool>& busy) : busy_(busy) {
      require(!busy.exchange(true, std::memory_order_acquire),
              "A.with(workspace): the workspace is in use by another evaluation; give each its own");
    }
    ~Claim() { busy_.store(false, std::memory_order_release); }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    std::atomic<bool>& busy_;
  };

  ExecutorRef executor_;
  Workspace own_;
  Workspace& workspace_;
  Claim claim_;
  mutable Index taken_ = 0;  // of what memory() has given
};

}  // namespace detail
}  // namespace filigree
