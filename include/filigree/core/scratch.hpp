// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
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

  struct Block {
    Buffer buffer;
    std::size_t start = 0;  // number of bytes in use in the blocks before
  };

  char* take(std::size_t bytes) {
    reserve(bytes);
    char* const memory = memory_ + (used_ - start_);
    used_ += bytes;
    return memory;
  }
  /// Makes the next `bytes` bytes contiguous. Memory that was taken before does not move.
  void reserve(std::size_t bytes) {
    if (bytes > limit_ - used_) move_to_next_block(bytes);
  }
  [[gnu::noinline]] void move_to_next_block(std::size_t bytes) {
    while (used_ > 0 && block_ + 1 < blocks_.size()) {
      blocks_[block_ + 1].start = used_;
      enter(block_ + 1);
      if (bytes <= limit_ - used_) return;
    }
    Buffer buffer;
    (void)buffer.get<char>(static_cast<std::ptrdiff_t>(used_ + bytes));  // so that it can replace all blocks later
    if (used_ == 0) blocks_.clear();
    blocks_.push_back({std::move(buffer), used_});
    peak_ = (std::max)(peak_, used_ + bytes);
    enter(blocks_.size() - 1);
  }
  void enter(Index block) noexcept {
    Block& b = blocks_[block];
    block_ = block;
    memory_ = b.buffer.data<char>();
    start_ = b.start;
    limit_ = b.start + b.buffer.bytes();
  }
  void release(std::size_t used) noexcept {
    if (blocks_.size() > 1) return release_blocks(used);
    used_ = used;
  }
  [[gnu::noinline]] void release_blocks(std::size_t used) noexcept {
    peak_ = (std::max)(peak_, used_);
    used_ = used;
    if (used == 0) merge_blocks();
    Index block = block_;
    while (used < blocks_[block].start) --block;
    enter(block);
  }
  /// Replaces several blocks, none of them in use, by one that is large enough for all of them. Without memory for it,
  /// keeps the last block, which is the largest.
  void merge_blocks() noexcept {
    try {
      Buffer buffer = std::move(blocks_.back().buffer);
      blocks_.clear();  // keeps its memory
      blocks_.push_back({std::move(buffer), 0});
      (void)blocks_[0].buffer.get<char>(static_cast<std::ptrdiff_t>(peak_));
    } catch (...) {
      // The arena grows again when it needs more.
    }
    block_ = 0;
  }

  List<Block> blocks_;
  std::size_t used_ = 0;  // number of bytes in use in all blocks; a frame only has to remember this number
  std::size_t peak_ = 0;  // largest number of bytes that were in use while there were several blocks
  // The current block. Those after it are not in use.
  Index block_ = 0;
  char* memory_ = nullptr;
  std::size_t start_ = 0, limit_ = 0;  // bytes [start_, limit_) of all bytes are in this block
};

/// Takes memory of an arena until the end of a scope. Frames must end in the reverse order of their beginnings, and
/// only the innermost frame may take memory.
class ScratchFrame {
 public:
  explicit ScratchFrame(ScratchArena& arena) noexcept : arena_(arena), used_(arena.used_) {}
  ScratchFrame(const ScratchFrame&) = delete;
  ScratchFrame& operator=(const ScratchFrame&) = delete;
  ~ScratchFrame() { arena_.release(used_); }

  /// Returns uninitialized memory for `count` values, aligned to a cache line. It is never null.
  template <class T>
  T* take(Index count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return reinterpret_cast<T*>(arena_.take(bytes<T>(count)));
  }
  /// Allocates the memory of the calls take<T>(counts[0]), take<T>(counts[1]), ... at once.
  template <class T>
  void reserve(std::initializer_list<Index> counts) {
    std::size_t sum = 0;
    for (const Index count : counts) {
      const std::size_t size = bytes<T>(count);
      if (size > static_cast<std::size_t>((std::numeric_limits<Index>::max)()) - sum) throw std::bad_array_new_length();
      sum += size;
    }
    arena_.reserve(sum);
  }

 private:
  /// Returns the size of `count` values in whole cache lines, at least one.
  template <class T>
  static std::size_t bytes(Index count) {
    constexpr auto alignment = static_cast<Index>(Buffer::alignment), size = static_cast<Index>(sizeof(T));
    if (count < 0 || count > ((std::numeric_limits<Index>::max)() - alignment) / size)
      throw std::bad_array_new_length();
    return static_cast<std::size_t>(round_up((std::max)(count * size, Index{1}), alignment));
  }

  ScratchArena& arena_;
  std::size_t used_;
};

}  // namespace filigree::detail
