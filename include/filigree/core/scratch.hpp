// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"

namespace filigree::detail {

/// Scratch memory of one worker, taken by a ScratchFrame. It grows as needed and never shrinks.
class ScratchArena {
 public:
  ScratchArena() = default;
  ScratchArena(const ScratchArena&) = delete;
  ScratchArena& operator=(const ScratchArena&) = delete;

 private:
  friend class ScratchFrame;

  /// The memory in use: all blocks before `block`, and `used` bytes of it.
  struct Mark {
    Index block = 0;
    std::size_t used = 0;
    std::size_t total = 0;  // number of bytes taken from all blocks
  };

  char* take(std::size_t bytes) {
    if (blocks_.empty() || bytes > blocks_[mark_.block].bytes() - mark_.used) move_to_next_block(bytes);
    char* const memory = blocks_[mark_.block].get<char>(0) + mark_.used;
    mark_.used += bytes;
    mark_.total += bytes;
    peak_ = (std::max)(peak_, mark_.total);
    return memory;
  }
  /// Moves to the next block with room for `bytes`. Memory that was taken before does not move.
  void move_to_next_block(std::size_t bytes) {
    while (mark_.block + 1 < blocks_.size()) {
      ++mark_.block;
      mark_.used = 0;
      if (bytes <= blocks_[mark_.block].bytes()) return;
    }
    Buffer block;
    (void)block.get<char>(static_cast<std::ptrdiff_t>((std::max)(bytes, peak_)));
    blocks_.push_back(std::move(block));
    mark_.block = blocks_.size() - 1;
    mark_.used = 0;
  }
  void release(const Mark& mark) noexcept {
    mark_ = mark;
    if (mark.total == 0 && blocks_.size() > 1) merge_blocks();
  }
  /// Replaces several blocks by one that is large enough for all of them. Without memory for it, keeps the blocks.
  void merge_blocks() noexcept {
    try {
      Buffer block;
      (void)block.get<char>(static_cast<std::ptrdiff_t>(peak_));
      blocks_.clear();
      blocks_.push_back(std::move(block));  // does not allocate
    } catch (const std::bad_alloc&) {
      return;
    }
  }

  List<Buffer> blocks_;
  Mark mark_;
  std::size_t peak_ = 0;
};

/// Takes memory of an arena until the end of a scope. Frames must end in the reverse order of their beginnings, and
/// only the innermost frame may take memory.
class ScratchFrame {
 public:
  explicit ScratchFrame(ScratchArena& arena) noexcept : arena_(arena), mark_(arena.mark_) {}
  ScratchFrame(const ScratchFrame&) = delete;
  ScratchFrame& operator=(const ScratchFrame&) = delete;
  ~ScratchFrame() { arena_.release(mark_); }

  /// Returns uninitialized memory for `count` values, aligned to a cache line. It is never null.
  template <class T>
  T* take(Index count) {
    static_assert(std::is_trivially_copyable_v<T>);
    constexpr auto alignment = static_cast<Index>(Buffer::alignment), size = static_cast<Index>(sizeof(T));
    if (count < 0 || count > ((std::numeric_limits<Index>::max)() - alignment) / size)
      throw std::bad_array_new_length();
    const Index bytes = round_up((std::max)(count * size, Index{1}), alignment);
    return reinterpret_cast<T*>(arena_.take(static_cast<std::size_t>(bytes)));
  }

 private:
  ScratchArena& arena_;
  ScratchArena::Mark mark_;
};

}  // namespace filigree::detail
