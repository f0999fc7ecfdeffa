// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// Counts the rows whose bound was guessed, and those whose guess failed. Affects only the time, not the result.
class GuessRecord {
 public:
  /// Returns true unless guessing has failed too often.
  [[nodiscard]] bool pays_off() const {
    return failed_.load(std::memory_order_relaxed) <= 4 + guessed_.load(std::memory_order_relaxed) / 64;
  }
  void add(Index rows, Index failed) {
    guessed_.fetch_add(rows, std::memory_order_relaxed);
    failed_.fetch_add(failed, std::memory_order_relaxed);
  }

 private:
  std::atomic<Index> guessed_{0}, failed_{0};
};

}  // namespace filigree::detail
