// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/stage/ranges.hpp"

// In which order the tiles of gradients are computed. Rows and keys are divided into blocks. A task is a block of rows
// with consecutive blocks of keys. Tasks are computed in phases, in parallel: no two tasks of a phase have the same
// rows or, except in phases of hubs, the same keys. The phases depend on the pattern only, so that the sums have the
// same order for any number of threads.

namespace filigree::detail {

/// A block of rows, and the consecutive blocks of keys that it is computed with.
struct GradientTask {
  Index rows;
  Range keys;
};

class GradientTasks {
 public:
  /// Removes all tasks. There are m keys, and tasks of `row_blocks` blocks of rows will be added.
  void start(Index m, Index block_keys, Index row_blocks) {
    block_keys_ = block_keys;
    key_blocks_ = ceil_div(m, block_keys);
    // So that blocks of rows that attend to all keys can be computed in parallel.
    longest_ = 2 * ceil_div(key_blocks_, (std::max)(row_blocks, Index{1}));
    tasks_.clear();
  }
  /// Adds the tasks of a block of rows, which attend to these keys.
  void add(Index rows, const List<KeySpan>& spans) {
    Index next = 0;  // all blocks of keys below `next` are in tasks
    bool is_first = true;
    for (const KeySpan& span : spans)
      for (Index j = (std::max)(span.begin / block_keys_, next); j * block_keys_ < span.end; next = ++j) {
        const bool extends =
            !is_first && tasks_.back().keys.end == j && tasks_.back().keys.end - tasks_.back().keys.begin < longest_;
        if (extends)
          ++tasks_.back().keys.end;
        else
          tasks_.push_back({rows, {j, j + 1}});
        is_first = false;
      }
  }

  /// The tasks that were taken last.
  [[nodiscard]] const List<GradientTask>& phase() const { return phase_; }

  /// Takes a phase of hubs: tasks with a single block of keys, which many tasks have, such as that of global keys.
  /// Returns false if there are none.
  bool take_hubs() {
    constexpr Index many = 4;
    count_.assign(key_blocks_, Index{0});
    for (const GradientTask& task : tasks_)
      for (Index j = task.keys.begin; j < task.keys.end; ++j) ++count_[j];
    return take([&](const Range& keys) { return keys.end - keys.begin == 1 && count_[keys.begin] > many; });
  }
  /// Takes a phase of tasks with different keys. Returns false if there are none.
  bool take_phase() {
    count_.assign(key_blocks_, Index{0});
    return take([&](const Range& keys) {
      Index *const begin = count_.data() + keys.begin, *const end = count_.data() + keys.end;
      if (std::any_of(begin, end, [](Index count) { return count > 0; })) return false;
      std::fill(begin, end, Index{1});
      return true;
    });
  }

 private:
  /// Takes tasks in their order, those whose rows no other task of the phase has, and for which may_take(keys) is true.
  template <class MayTake>
  bool take(const MayTake& may_take) {
    phase_.clear();
    Index rest = 0;
    for (const GradientTask task : tasks_) {
      if ((phase_.empty() || phase_.back().rows != task.rows) && may_take(task.keys))
        phase_.push_back(task);
      else
        tasks_[rest++] = task;
    }
    tasks_.resize(rest);
    return !phase_.empty();
  }

  Index block_keys_ = 1, key_blocks_ = 0, longest_ = 1;
  List<GradientTask> tasks_, phase_;
  List<Index> count_;  // of the tasks of each block of keys
};

}  // namespace filigree::detail
