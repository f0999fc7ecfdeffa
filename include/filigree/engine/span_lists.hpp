// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// Lists of spans of keys, in memory of a session.
class SpanLists {
 public:
  SpanLists() = default;
  explicit SpanLists(const Session& session) : spans_(&session.next_buffer()), ends_(&session.next_buffer()) {}

  void append(const KeySpans& list) {
    const Index begin = end_of(count_ - 1), end = begin + list.size();
    std::copy(list.begin(), list.end(), spans_->grow<KeySpan>(end, begin) + begin);
    ends_->grow<Index>(count_ + 1, count_)[count_] = end;
    ++count_;
  }
  Slice<KeySpan> operator[](Index i) const {
    const KeySpan* spans = spans_->data<KeySpan>();
    return {spans + end_of(i - 1), spans + end_of(i)};
  }

 private:
  [[nodiscard]] Index end_of(Index i) const { return i < 0 ? 0 : ends_->data<Index>()[i]; }

  Buffer* spans_ = nullptr;
  Buffer* ends_ = nullptr;
  Index count_ = 0;
};

/// Returns the spans of a list that overlap the columns [c0, c1).
inline Slice<KeySpan> overlapping(const Slice<KeySpan>& spans, Index c0, Index c1) {
  const auto first = std::partition_point(spans.begin(), spans.end(), [&](const KeySpan& s) { return s.end <= c0; });
  auto last = first;
  while (last != spans.end() && last->begin < c1) ++last;
  return {first, last};
}

}  // namespace filigree::detail
