// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <tuple>

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
    share_ = ceil_div(key_blocks_, (std::max)(row_blocks, Index{1}));
    tasks_.clear();
    count_.assign(row_blocks, Index{0});
  }
  /// Adds the tasks of a block of rows, which attend to these keys: one for each run of blocks of keys. A long run is
  /// divided, so that blocks of rows that attend to the same keys can be computed in parallel.
  void add(Index rows, const List<KeySpan>& spans) {
    const Index before = tasks_.size();
    Range run{0, 0};
    const auto finish = [&] {
      const Index length = run.end - run.begin, most = length > 2 * share_ ? share_ : length;
      for (Index j = run.begin; j < run.end; j += most) tasks_.push_back({rows, {j, (std::min)(j + most, run.end)}});
    };
    for (const KeySpan& span : spans) {
      const Range blocks{span.begin / block_keys_, ceil_div(span.end, block_keys_)};
      if (blocks.begin > run.end || run.begin == run.end) {
        finish();
        run = blocks;
      }
      run.end = (std::max)(run.end, blocks.end);
    }
    finish();
    count_[rows] = tasks_.size() - before;
  }
  /// Puts blocks of rows with few tasks first: others, such as those of global queries, fit in between.
  void sort() {
    std::sort(tasks_.begin(), tasks_.end(), [&](const GradientTask& a, const GradientTask& b) {
      return std::tuple(count_[a.rows], a.rows, a.keys.begin) < std::tuple(count_[b.rows], b.rows, b.keys.begin);
    });
  }

  /// The tasks that were taken last.
  [[nodiscard]] const List<GradientTask>& phase() const { return phase_; }

  /// Takes a phase of hubs: tasks with a single block of keys that more than twice as many tasks have as others, such
  /// as that of global keys. Returns false if there are none.
  bool take_hubs() {
    count_.assign(key_blocks_, Index{0});
    Index sum = 0;
    for (const GradientTask& task : tasks_)
      for (Index j = task.keys.begin; j < task.keys.end; ++j, ++sum) ++count_[j];
    const Index usual = (std::max)(ceil_div(2 * sum, (std::max)(key_blocks_, Index{1})), Index{4});
    return take([&](const Range& keys) { return keys.end - keys.begin == 1 && count_[keys.begin] > usual; });
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

  Index block_keys_ = 1, key_blocks_ = 0;
  Index share_ = 1;  // blocks of keys of a task, if all blocks of rows attend to all keys
  List<GradientTask> tasks_, phase_;
  List<Index> count_;  // of the tasks of each block of rows or keys
};

}  // namespace filigree::detail
