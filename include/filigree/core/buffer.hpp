// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "filigree/core/requirements.hpp"

namespace filigree::detail {

/// Computes the product of two sizes of an allocation.
///
/// Throws  std::bad_array_new_length, which is a std::bad_alloc, if the product overflows
inline std::ptrdiff_t size_product(std::ptrdiff_t a, std::ptrdiff_t b) {
  std::ptrdiff_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) throw std::bad_array_new_length();
  return product;
}

/// Uninitialized memory for trivially copyable types, aligned to a cache line. It grows as needed and never shrinks.
class Buffer {
 public:
  static constexpr std::size_t alignment = 64;

  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(memory_); }

  /// Returns memory for `count` values. The old values are lost if the buffer must grow.
  template <class T>
  T* get(std::ptrdiff_t count) {
    return grow<T>(count, 0);
  }

  /// Returns memory for `count` values, of which the first `kept` are preserved.
  template <class T>
  T* grow(std::ptrdiff_t count, std::ptrdiff_t kept) {
    static_assert(std::is_trivially_copyable_v<T>);
    constexpr auto max_count = (std::numeric_limits<std::ptrdiff_t>::max)() / static_cast<std::ptrdiff_t>(sizeof(T));
    if (count < 0 || count > max_count) throw std::bad_array_new_length();
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (bytes > bytes_) {
      const std::size_t capacity = bytes > 2 * bytes_ || kept == 0 ? bytes : 2 * bytes_;
      void* const next = ::operator new (capacity, std::align_val_t{alignment});
      if (kept > 0) std::memcpy(next, memory_, static_cast<std::size_t>(kept) * sizeof(T));
      release(memory_);
      memory_ = next;
      bytes_ = capacity;
    }
    return static_cast<T*>(memory_);
  }

  /// Returns the memory.
  template <class T>
  [[nodiscard]] const T* data() const noexcept {
    return static_cast<const T*>(memory_);
  }
  template <class T>
  [[nodiscard]] T* data() noexcept {
    return static_cast<T*>(memory_);
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  static void release(void* memory) noexcept { ::operator delete (memory, std::align_val_t{alignment}); }
  void swap(Buffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
  }

  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace filigree::detail
