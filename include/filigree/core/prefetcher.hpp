// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Memory that will be used soon, asked for a few cache lines at a time between pieces of other work: a core has few
/// requests under way (16 to its first-level cache where this was measured), and stands still when it sends more.
///
/// All of it is a hint; what finds no room here is not asked for.
class Prefetcher {
 public:
  /// Forgets what is still wanted.
  void clear() {
    first_ = count_ = 0;
    lines_ = 0;
  }

  /// Whether there is no room for three more.
  [[nodiscard]] bool full() const { return count_ + 3 > most; }

  /// `number` rows of `size` values, `stride` apart.
  template <class T>
  void request(const T* rows, Index number, Index size, Index stride) {
    if (count_ == most || number <= 0 || size <= 0) return;
    if (size == stride) {
      size *= number;
      number = 1;
    }
    constexpr auto bytes = static_cast<Index>(sizeof(T));
    const Area area = {
        .row = reinterpret_cast<const char*>(rows), .rows = number, .bytes = size * bytes, .stride = stride * bytes};
    areas_[count_++] = area;
    lines_ += number * (size * bytes / line + 2);
  }

  /// About all that is wanted will have been asked for after this number of calls of step().
  void pace(Index steps) { per_step_ = steps > 0 ? lines_ / steps + 1 : lines_; }

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
    Index next = 0;  // byte of the row that has not been asked for
  };
  static Index to_next_line(const char* at) {
    return line - static_cast<Index>(reinterpret_cast<std::uintptr_t>(at) % Buffer::alignment);
  }
  static constexpr std::size_t most = 64;
  static constexpr auto line = static_cast<Index>(Buffer::alignment);

  std::array<Area, most> areas_;
  std::size_t first_ = 0, count_ = 0;
  Index lines_ = 0, per_step_ = 0;
};

/// Rows of what a reader reads, if they lie in memory.
template <class Reader>
void request_rows(const Reader& reader, Index first, Index count, Prefetcher& prefetcher) {
  if constexpr (Reader::direct)
    if (reader.contiguous_rows() && reader.cols() > 0 && count > 0)  // else there may be no such row
      prefetcher.request(reader.data() + first * reader.row_stride(), count, reader.cols(), reader.row_stride());
}

}  // namespace filigree::detail
