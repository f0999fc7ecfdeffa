// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace filigree::detail {

/// Memory for any trivial type, aligned to a cache line, that grows and never shrinks. Not copied, not initialised.
///
/// `get<T>(count)` gives room for count values and forgets what was there when it has to grow.
/// `grow<T>(count, kept)` keeps the first `kept` values.
class Buffer {
 public:
  static constexpr std::size_t alignment = 64;

  template <class T>
  T* get(std::ptrdiff_t count) {
    return grow<T>(count, 0);
  }

  template <class T>
  T* grow(std::ptrdiff_t count, std::ptrdiff_t kept) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (bytes > bytes_) {
      const std::size_t room = bytes > 2 * bytes_ || kept == 0 ? bytes : 2 * bytes_;
      Memory next(static_cast<std::byte*>(::operator new (room, std::align_val_t{alignment})));
      if (kept > 0) {
        const std::byte* from = memory_.get();
        for (std::size_t i = 0; i < static_cast<std::size_t>(kept) * sizeof(T); ++i) next[i] = from[i];
      }
      memory_ = std::move(next);
      bytes_ = room;
    }
    return reinterpret_cast<T*>(memory_.get());
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept { ::operator delete (p, std::align_val_t{alignment}); }
  };
  using Memory = std::unique_ptr<std::byte[], Free>;

  Memory memory_;
  std::size_t bytes_ = 0;
};

}  // namespace filigree::detail
