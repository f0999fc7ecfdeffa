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
class Ahead {
 public:
  /// Forgets what is still wanted.
  void clear() { first_ = count_ = lines_ = 0; }

  /// `number` rows of `size` values, `stride` apart.
  template <class T>
  void want(const T* rows, Index number, Index size, Index stride) {
    if (count_ == most || number <= 0 || size <= 0) return;
    if (size == stride) {
      size *= number;
      number = 1;
    }
    constexpr auto bytes = static_cast<Index>(sizeof(T));
    const auto at = reinterpret_cast<std::uintptr_t>(rows);
    const Area area = {at, number, size * bytes, stride * bytes, at};
    areas_[count_++] = area;
    lines_ += number * (size * bytes / line + 1);
  }

  /// All that is wanted will have been asked for after this number of calls of step().
  void spread(Index steps) { per_step_ = steps > 0 ? lines_ / steps + 1 : lines_; }

  void step() {
    for (Index left = per_step_; first_ < count_;) {
      Area& area = areas_[first_];
      for (const std::uintptr_t end = area.row + static_cast<std::uintptr_t>(area.bytes); area.next < end; --left) {
        if (left <= 0) return;
        __builtin_prefetch(reinterpret_cast<const void*>(area.next), 0, 2);
        area.next = (area.next / line + 1) * line;
      }
      area.row += static_cast<std::uintptr_t>(area.stride);
      area.next = area.row;
      if (--area.rows == 0) ++first_;
    }
  }

 private:
  struct Area {
    std::uintptr_t row;
    Index rows, bytes, stride;
    std::uintptr_t next;  // of what has not been asked for
  };
  static constexpr std::size_t most = 64;
  static constexpr auto line = static_cast<Index>(Buffer::alignment);

  std::array<Area, most> areas_;
  std::size_t first_ = 0, count_ = 0;
  Index lines_ = 0, per_step_ = 0;
};

/// Rows of what a reader reads, if they lie in memory.
template <class Reader>
void want_rows(const Reader& reader, Index first, Index count, Ahead& ahead) {
  if constexpr (Reader::direct)
    if (reader.contiguous_rows() && reader.cols() > 0)  // else data() may be null
      ahead.want(reader.data() + first * reader.row_stride(), count, reader.cols(), reader.row_stride());
}

}  // namespace filigree::detail
