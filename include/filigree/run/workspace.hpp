// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "filigree/core/cache.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/executor.hpp"
#include "filigree/core/list.hpp"
#include "filigree/core/prefetcher.hpp"
#include "filigree/core/scratch.hpp"
#include "filigree/stage/ranges.hpp"
#include "filigree/stage/row.hpp"

namespace filigree {

namespace detail {

/// A direct-mapped cache of items of equal size, such as packed panels of keys. Item i is stored in slot i modulo the
/// number of slots, which is a power of two.
class PanelCache {
 public:
  /// Returns the number of slots, for items of `bytes` bytes, that fit into this cache's fraction of the L2 cache.
  static Index slots(std::size_t bytes) {
    const auto capacity = static_cast<std::size_t>(cache_budget().panel_cache);
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
  /// The same for items that are identified by the address from which they are copied. Items of several sources, such
  /// as heads, may then alternate.
  bool lookup(Index i, const void* address) {
    const auto item = static_cast<Index>(reinterpret_cast<std::uintptr_t>(address));
    return std::exchange(items_[slot_of(i)], item) == item;
  }

 private:
  [[nodiscard]] Index slot_of(Index i) const { return i & (items_.size() - 1); }

  Buffer memory_;
  List<Index> items_;
};

/// Entries of a sparse result, in the order in which a worker computed them.
struct EntryList {
  Buffer columns, values;
  Index count = 0;
};

/// What one worker keeps between blocks of rows: its arena, from which all buffers of a block are taken, the panels
/// that it packed, and the plan of the current block.
struct WorkerScratch : ScratchArena {
  PanelCache keys, value_panels;  // indexed by panel of keys
  RowScratch row;
  EntryList entries;
  Coverage coverage;                     // of the queries that are being planned
  KeySpans block_spans, previous_spans;  // of the current and the previous block of queries
  Prefetcher prefetcher;
  Prefetcher map_prefetcher;   // of what maps read
  List<KeySpans> group_spans;  // of each register group of queries
  List<KeySpans> row_spans;    // of each query
  List<kernel::Segment> segments;
  bool same_keys = false;  // true if all queries of the block attend to the same keys
  bool groups_planned = false;
  List<char> rows_planned;       // one flag per group
  Index candidate_capacity = 0;  // of the largest lists of candidates, in entries
};

/// One object of each of some types.
class Objects {
 public:
  Objects() = default;
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;
  ~Objects() {
    for (const Entry& entry : entries_) entry.destroy(entry.object);
  }

  /// Returns the object of type T. It is T() at first.
  template <class T>
  T& get() {
    for (const Entry& entry : entries_)
      if (entry.type == &type_of<T>) return *static_cast<T*>(entry.object);
    entries_.reserve(entries_.size() + 1);
    entries_.push_back({&type_of<T>, new T(), [](void* object) { delete static_cast<T*>(object); }});
    return *static_cast<T*>(entries_.back().object);
  }

 private:
  template <class T>
  static inline const char type_of = 0;  // its address identifies T
  struct Entry {
    const void* type;
    void* object;
    void (*destroy)(void*);
  };

  List<Entry> entries_;
};

class Session;

}  // namespace detail

/// Reusable memory for evaluations. After the first evaluation of a size, the hot path allocates no memory.
///
/// Only one evaluation at a time may use a workspace. It grows as needed and never shrinks.
/// Throws  Error if a second evaluation starts while one is running
class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

 private:
  friend class detail::Session;
  detail::Buffer keys_, values_, operand_, initial_row_, column_sums_;
  detail::StableList<detail::Buffer> more_;
  detail::StableList<detail::WorkerScratch> workers_;
  detail::Objects objects_;
  std::atomic<bool> busy_{false};
};

namespace detail {

/// The executor and the workspace of an evaluation.
struct Execution {
  ExecutorRef executor;
  Workspace* workspace = nullptr;
};

/// One evaluation. It holds the caller's workspace, or its own if there is none, until it ends.
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

  [[nodiscard]] const ExecutorRef& executor() const { return executor_; }
  [[nodiscard]] Index concurrency() const { return executor_.concurrency(); }
  void run(Index tasks, TaskRef f) const { executor_.run(tasks, f); }

  // Buffers that all workers read, each for one purpose: packed keys, rows of V, the packed operand and the initial row
  // of a matrix product, and sums of columns.
  [[nodiscard]] Buffer& keys() const { return workspace_.keys_; }
  [[nodiscard]] Buffer& values() const { return workspace_.values_; }
  [[nodiscard]] Buffer& operand() const { return workspace_.operand_; }
  [[nodiscard]] Buffer& initial_row() const { return workspace_.initial_row_; }
  [[nodiscard]] Buffer& column_sums() const { return workspace_.column_sums_; }
  /// Returns a buffer that an engine owns for the rest of the evaluation. Engines must request buffers in the same
  /// order in each evaluation, so that each gets the same buffer again.
  [[nodiscard]] Buffer& next_buffer() const {
    if (taken_ == workspace_.more_.size()) workspace_.more_.grow();
    return workspace_.more_[taken_++];
  }
  /// Returns the workspace's object of type T: the memory of an engine that runs once at a time.
  template <class T>
  [[nodiscard]] T& object() const {
    return workspace_.objects_.template get<T>();
  }
  [[nodiscard]] WorkerScratch& scratch(Index worker) const { return workspace_.workers_[worker]; }

  /// Returns the buffers that are requested during its life, so that another head gets the same ones.
  class BufferScope {
   public:
    explicit BufferScope(const Session& session) : session_(session), taken_(session.taken_) {}
    ~BufferScope() { session_.taken_ = taken_; }
    BufferScope(const BufferScope&) = delete;
    BufferScope& operator=(const BufferScope&) = delete;

   private:
    const Session& session_;
    Index taken_;
  };

 private:
  /// Releases the workspace on destruction, also if the constructor of the session throws.
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
  mutable Index taken_ = 0;  // number of buffers that memory() has returned
};

}  // namespace detail
}  // namespace filigree
