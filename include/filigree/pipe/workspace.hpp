// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <utility>

#include "filigree/core/ahead.hpp"
#include "filigree/core/cache.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/executor.hpp"
#include "filigree/core/list.hpp"
#include "filigree/pipe/ranges.hpp"
#include "filigree/pipe/row.hpp"

namespace filigree {

namespace detail {

/// Things of one size that a worker meets again and again, such as panels of keys: thing i lies in place i mod
/// `places`, a power of two.
class Ring {
 public:
  /// As many places for things of this many bytes as fill the ring's share of the second-level cache.
  static Index places(std::size_t bytes) {
    const auto most = static_cast<std::size_t>(cache_shares().ring);
    return static_cast<Index>(std::bit_floor((std::max)(most / (std::max)(bytes, std::size_t{1}), std::size_t{1})));
  }
  /// Holds nothing yet.
  template <class T>
  void start(Index places, Index size) {
    memory_.get<T>(places * size);
    holds_.assign(places, Index(-1));
  }
  template <class T>
  T* place(Index i, Index size) {
    return memory_.get<T>(0) + index(i) * size;
  }
  /// Whether thing i has to be put in its place, where it is taken to be from now on.
  bool misses(Index i) { return std::exchange(holds_[index(i)], i) != i; }

 private:
  [[nodiscard]] Index index(Index i) const { return i & (holds_.size() - 1); }

  Buffer memory_;
  List<Index> holds_;
};

/// What one worker needs while it evaluates a block of rows.
struct WorkerScratch {
  Ring keys, rows_of_v;  // by panels of keys
  Buffer queries, tile, values, columns, counts, bounds, out, sums;
  Buffer gathered, gathered_columns;       // keys that were gathered, as panels
  Buffer gathered_rows, gathered_queries;  // rows of V and queries that were
  Index gathered_count = 0;
  const void* gathered_by = nullptr;
  Buffer kept_values, kept_columns, kept_counts;
  RowScratch row;
  Sight sight;           // of the queries that are being planned
  Pieces block, before;  // of a block of queries, and of the one that was computed before it
  Ahead ahead;
  List<Pieces> groups;  // of a few of them each
  List<Pieces> rows;    // of each of them
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
