// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>

#include "filigree/core/list.hpp"
#include "filigree/stage/grid.hpp"

namespace filigree {

/// A half-open range of key positions.
struct Range {
  Index begin, end;
  friend bool operator==(const Range&, const Range&) = default;
};

/// A stack of lists of key ranges. Its memory is reused, so that only planning the first block allocates.
///
/// A pattern may add ranges in any order. They may overlap or exceed the keys: the caller sorts, merges and clips them.
class Ranges {
 public:
  void add(Index begin, Index end) {
    if (begin < end) list_.push_back({begin, end});
  }

  [[nodiscard]] Index size() const { return list_.size(); }
  [[nodiscard]] const Range* begin() const { return list_.begin(); }
  [[nodiscard]] const Range* end() const { return list_.end(); }
  void clear() { list_.clear(); }
  /// Appends the ranges of another list, starting at index `first`.
  void append(const Ranges& other, Index first) { list_.append(other.begin() + first, other.end()); }
  void reserve(Index count) { list_.reserve(count); }

  /// Returns the ranges of a normalized list that overlap [begin, end).
  [[nodiscard]] detail::Slice<Range> overlapping(Index begin, Index end) const {
    const auto first = std::partition_point(list_.begin(), list_.end(), [&](const Range& r) { return r.end <= begin; });
    const auto last = std::partition_point(first, list_.end(), [&](const Range& r) { return r.begin < end; });
    return {first, last};
  }

  /// Sorts and merges the ranges added since `mark` (a former size()), and clips them to the keys of the grid.
  void normalize(Index mark, const Grid& grid) {
    bool normal = true, sorted = true;
    Index before = grid.key_at - 1;
    for (Index i = mark; i < list_.size(); ++i) {
      const Range& r = list_[i];
      normal &= r.begin > before && r.begin < r.end;
      sorted &= i == mark || r.begin >= list_[i - 1].begin;
      before = r.end;
    }
    if (normal && (list_.size() == mark || before <= grid.key_end())) return;
    if (!sorted)
      std::sort(list_.begin() + mark, list_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    Index out = mark;
    for (Index i = mark; i < list_.size(); ++i) {
      const Range r{(std::max)(list_[i].begin, grid.key_at), (std::min)(list_[i].end, grid.key_end())};
      if (r.begin >= r.end) continue;
      if (out > mark && list_[out - 1].end >= r.begin)
        list_[out - 1].end = (std::max)(list_[out - 1].end, r.end);
      else
        list_[out++] = r;
    }
    list_.resize(out);
  }

  /// Replaces the normalized lists [mark, middle) and [middle, size()) by their intersection.
  void intersect(Index mark, Index middle) {
    const Index end = list_.size();
    for (Index a = mark, b = middle; a < middle && b < end;) {
      const Range r{(std::max)(list_[a].begin, list_[b].begin), (std::min)(list_[a].end, list_[b].end)};
      const bool a_ends = list_[a].end < list_[b].end;
      if (r.begin < r.end) list_.push_back(r);
      a_ends ? ++a : ++b;
    }
    drop(mark, end);
  }

  /// Replaces the normalized lists [mark, middle) and [middle, size()) by their union.
  void unite(Index mark, Index middle) {
    const Index end = list_.size();
    if (middle == end || middle == mark) return;
    for (Index a = mark, b = middle; a < middle || b < end;) {
      const bool from_a = b == end || (a < middle && list_[a].begin < list_[b].begin);
      const Range r = list_[from_a ? a++ : b++];
      if (list_.size() > end && list_.back().end >= r.begin)
        list_.back().end = (std::max)(list_.back().end, r.end);
      else
        list_.push_back(r);
    }
    drop(mark, end);
  }

  /// Replaces the normalized list since `mark` by its complement in the keys of the grid.
  void complement(Index mark, const Grid& grid) {
    const Index end = list_.size();
    Index from = grid.key_at;
    for (Index i = mark; i < end; ++i) {
      const Range r = list_[i];
      add(from, r.begin);
      from = r.end;
    }
    add(from, grid.key_end());
    drop(mark, end);
  }

  /// Replaces the normalized ranges of block indices since `mark` by ranges of keys, b keys per block.
  void scale(Index mark, Index b, const Grid& grid) {
    // block * b could overflow, so blocks that begin after the last key are clamped first.
    const auto first_key = [&](Index block) {
      if (block > (grid.key_end() - 1) / b) return grid.key_end();
      return block * b;
    };
    for (Index i = mark; i < list_.size(); ++i) list_[i] = {first_key(list_[i].begin), first_key(list_[i].end)};
    normalize(mark, grid);
  }

  /// Replaces each range since `mark` by f(range).
  template <class F>
  void transform(Index mark, F&& f) {
    for (Index i = mark; i < list_.size(); ++i) list_[i] = f(list_[i]);
  }

  /// Removes the ranges with indices [first, last).
  void drop(Index first, Index last) {
    std::copy(list_.begin() + last, list_.end(), list_.begin() + first);
    list_.resize(list_.size() - (last - first));
  }

 private:
  detail::List<Range> list_;
};

namespace detail {

/// The key ranges of some queries: they attend to no key outside `maybe` and to every key inside `sure`.
struct Coverage {
  Ranges maybe, sure;

  void clear() {
    maybe.clear();
    sure.clear();
  }
  void reserve(Index count) {
    maybe.reserve(count);
    sure.reserve(count);
  }
};

/// Columns [begin, end) of keys. If `all`, every query of a block attends to all of them; otherwise the patterns decide
/// for each query and key.
struct KeySpan {
  Index begin, end;
  bool all;
};
/// Disjoint spans in ascending order. No query attends to a column outside the spans.
using KeySpans = List<KeySpan>;

/// Computes the spans of a coverage, whose lists must be normalized.
inline void split_into_spans(const Coverage& coverage, const Grid& grid, KeySpans& out) {
  out.clear();
  const auto add = [&](Index begin, Index end, bool all) {
    if (begin < end) out.push_back({grid.column(begin), grid.column(end), all});
  };
  const Range* sure = coverage.sure.begin();
  for (const Range& maybe : coverage.maybe) {
    Index j = maybe.begin;
    for (; sure != coverage.sure.end() && sure->begin < maybe.end; ++sure) {
      const Range both{(std::max)(j, sure->begin), (std::min)(maybe.end, sure->end)};
      if (both.begin < both.end) {
        add(j, both.begin, false);
        add(both.begin, both.end, true);
        j = both.end;
      }
      if (sure->end > maybe.end) break;
    }
    add(j, maybe.end, false);
  }
}

/// Returns the spans that overlap the columns [c0, c1).
inline Slice<KeySpan> overlapping(const KeySpans& spans, Index c0, Index c1) {
  const auto first = std::partition_point(spans.begin(), spans.end(), [&](const KeySpan& p) { return p.end <= c0; });
  auto last = first;
  while (last != spans.end() && last->begin < c1) ++last;
  return {first, last};
}

}  // namespace detail
}  // namespace filigree
