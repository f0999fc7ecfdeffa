// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// Counts the memory of the program. Only one source file of a program may include this header, since it replaces the
// global operators new and delete.

namespace memory_count {
inline std::atomic<std::size_t> now{0}, peak{0};
constexpr std::size_t header = 64;

inline void* allocate(std::size_t size) {
  void* const block = std::aligned_alloc(header, (size + 2 * header - 1) / header * header);
  if (block == nullptr) throw std::bad_alloc();
  *static_cast<std::size_t*>(block) = size;
  const std::size_t total = now += size;
  for (std::size_t before = peak; before < total && !peak.compare_exchange_weak(before, total);) {
  }
  return static_cast<char*>(block) + header;
}
inline void release(void* memory) noexcept {
  if (memory == nullptr) return;
  void* const block = static_cast<char*>(memory) - header;
  now -= *static_cast<std::size_t*>(block);
  std::free(block);
}
}  // namespace memory_count

/// Returns the bytes in use, and begins to measure their largest number.
inline std::size_t begin_peak_memory() { return memory_count::peak = memory_count::now.load(); }
/// Returns the largest number of bytes in use since begin_peak_memory().
inline std::size_t peak_memory() { return memory_count::peak; }

void* operator new(std::size_t size) { return memory_count::allocate(size); }
void* operator new(std::size_t size, std::align_val_t) { return memory_count::allocate(size); }
void operator delete(void* memory) noexcept { memory_count::release(memory); }
void operator delete(void* memory, std::size_t) noexcept { memory_count::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { memory_count::release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { memory_count::release(memory); }
