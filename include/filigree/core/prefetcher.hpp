// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// A queue of memory areas to prefetch, a few cache lines at a time, interleaved with other work.
///
/// A core supports few outstanding requests (16 to its first-level cache where this was measured) and stalls when it
/// issues more. All requests are hints: those that exceed the capacity of the queue are dropped.
class Prefetcher {
 public:
  /// Drops all pending requests.
  void clear() {
    first_ = count_ = 0;
    lines_ = 0;
  }

  /// True if there is no capacity for three more requests.
  [[nodiscard]] bool full() const { return count_ + 3 > max_areas; }

  /// Enqueues `count` rows of `size` values with the given stride.
  template <class T>
  void request(const T* rows, Index count, Index size, Index stride) {
    if (count_ == max_areas || count <= 0 || size <= 0) return;
    if (size == stride) {
      size *= count;
      count = 1;
    }
    constexpr auto bytes = static_cast<Index>(sizeof(T));
    const Area area = {
        .row = reinterpret_cast<const char*>(rows), .rows = count, .bytes = size * bytes, .stride = stride * bytes};
    areas_[count_++] = area;
    lines_ += count * (size * bytes / line + 2);
  }

  /// Sets the number of calls of issue() after which about all pending requests will have been issued.
  void pace(Index steps) { per_step_ = steps > 0 ? lines_ / steps + 1 : lines_; }
  /// Limits the number of cache lines per call of issue().
  void limit(Index count) { per_step_ = per_step_ < count ? per_step_ : count; }

  /// Prefetches the next cache lines.
  void issue() {
    for (Index left = per_step_; first_ < count_;) {
      Area& area = areas_[first_];
      for (; area.next < area.bytes; area.next += to_next_line(area.row + area.next), --left) {
        if (left <= 0) return;
        __builtin_prefetch(area.row + area.next, 0, 2);
      }
      area.next = 0;
      if (--area.rows == 0)
        ++first_;
      else
        area.row += area.stride;
    }
  }

 private:
  struct Area {
    const char* row;
    Index rows, bytes, stride;
    Index next = 0;  // the first byte of the row that has not been prefetched
  };
  /// Returns the distance from an address to the next cache line.
  static Index to_next_line(const char* address) {
    return line - static_cast<Index>(reinterpret_cast<std::uintptr_t>(address) % Buffer::alignment);
  }
  static constexpr std::size_t max_areas = 64;
  static constexpr auto line = static_cast<Index>(Buffer::alignment);

  std::array<Area, max_areas> areas_;
  std::size_t first_ = 0, count_ = 0;
  Index lines_ = 0, per_step_ = 0;
};

/// Requests the given rows of the matrix of a reader, if they are contiguous in memory.
template <class Reader>
void request_rows(const Reader& reader, Index first, Index count, Prefetcher& prefetcher) {
  if constexpr (Reader::direct)
    if (reader.contiguous_rows() && reader.cols() > 0 && count > 0)  // otherwise the first row may not exist
      prefetcher.request(reader.data() + first * reader.row_stride(), count, reader.cols(), reader.row_stride());
}

}  // namespace filigree::detail
