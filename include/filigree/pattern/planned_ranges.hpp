// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/stage/ranges.hpp"
#include "filigree/stage/row.hpp"

namespace filigree::detail {

/// The planned column ranges of groups of consecutive queries, in one list. Adjacent groups with equal ranges are
/// merged. A group may also be unplanned: nothing is stored for it.
class PlannedRanges {
 public:
  struct Columns {
    Column begin, end;
    friend bool operator==(const Columns&, const Columns&) = default;
  };

  /// Appends an unplanned group that starts at `row`.
  void append_unplanned(Index row) {
    if (groups_.empty() || !groups_.back().unplanned)
      groups_.push_back({.at = columns_.size(), .row = static_cast<Column>(row), .unplanned = true});
  }

  /// Appends a group that starts at `row`. `same_keys` must be true only if all of its queries keep the same keys.
  void append(Index row, bool same_keys, const Coverage& coverage, const Grid& grid) {
    const Index at = columns_.size();
    push(coverage.maybe, grid);
    const Index middle = columns_.size();
    push(coverage.sure, grid);
    Group group{.at = at,
                .covers = static_cast<std::uint32_t>(middle - at),
                .contains = static_cast<std::uint32_t>(columns_.size() - middle),
                .row = static_cast<Column>(row),
                .tight = same_keys};
    if (equal(list(at, group.covers), list(middle, group.contains))) {
      group.exact = group.tight = true;  // every query keeps exactly these keys
      columns_.resize(middle);
    }
    if (groups_.empty() || !same(groups_.back(), group)) return groups_.push_back(group);
    groups_.back().tight = groups_.back().tight && group.tight;
    columns_.resize(at);
  }

  void shrink() {
    groups_.shrink_to_fit();
    columns_.shrink_to_fit();
  }
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(groups_.capacity()) * sizeof(Group) +
           static_cast<std::size_t>(columns_.capacity()) * sizeof(Columns);
  }

  /// Adds key ranges outside which the queries of rows [first, last) keep nothing. Adds nothing and returns false if
  /// one of the rows is unplanned, or if a single row is requested and its group is not tight.
  bool covers(Index first, Index last, const Grid& grid, Ranges& out) const {
    const auto [begin, end] = overlapping(first, last, grid);
    if (begin == end) return false;
    // Range k of a group usually overlaps range k of the next group, so the loop merges these.
    bool has_range = true;
    for (Index k = 0; has_range; ++k) {
      has_range = false;
      Columns merged{0, 0};
      for (auto group = begin; group != end; ++group) {
        if (k >= group->covers) continue;
        has_range = true;
        const Columns next = columns_[group->at + k];
        if (next.begin <= merged.end && merged.begin <= next.end) {
          merged = {(std::min)(merged.begin, next.begin), (std::max)(merged.end, next.end)};
        } else {
          out.add(grid.key_at + merged.begin, grid.key_at + merged.end);
          merged = next;
        }
      }
      out.add(grid.key_at + merged.begin, grid.key_at + merged.end);
    }
    return true;
  }

  /// Adds key ranges inside which each of the queries keeps everything. Returns false in the same cases as covers().
  bool contains(Index first, Index last, const Grid& grid, Ranges& out) const {
    const auto [begin, end] = overlapping(first, last, grid);
    if (begin == end) return false;
    const Index mark = out.size();
    for (auto group = begin; group != end; ++group) {
      const Index middle = out.size();
      for (const Columns& c : contains(*group)) out.add(grid.key_at + c.begin, grid.key_at + c.end);
      if (group != begin) out.intersect(mark, middle);
      if (out.size() == mark) break;
    }
    return true;
  }

  enum class Kept { no, maybe, yes };
  /// Returns whether a query keeps a key, or `maybe` if the ranges do not decide it.
  [[nodiscard]] Kept lookup(Index row, Index column, const Grid& grid) const {
    const auto has = [&](Slice<Columns> sorted) {
      const auto next =
          std::partition_point(sorted.begin(), sorted.end(), [&](const Columns& c) { return c.end <= column; });
      return next != sorted.end() && next->begin <= column;
    };
    const auto group = at(row, grid);
    return !has(covers(*group)) ? Kept::no : has(contains(*group)) ? Kept::yes : Kept::maybe;
  }

  /// Calls f(first, last, lower, upper) for each group: the rows of the group, and bounds on the number of keys that
  /// each of its queries keeps.
  template <class F>
  void for_each_group(const Grid& grid, F&& f) const {
    const auto count = [](Slice<Columns> list) {
      Index sum = 0;
      for (const Columns& c : list) sum += c.end - c.begin;
      return sum;
    };
    for (Index g = 0; g < groups_.size(); ++g) {
      const Index first = groups_[g].row, last = g + 1 < groups_.size() ? Index(groups_[g + 1].row) : grid.n;
      f(first, last, count(contains(groups_[g])), groups_[g].unplanned ? grid.m : count(covers(groups_[g])));
    }
  }

 private:
  struct Group {
    Index at;                    // index of its first range
    std::uint32_t covers = 0;    // number of `covers` ranges, which are stored first
    std::uint32_t contains = 0;  // number of `contains` ranges, which follow unless `exact`
    Column row;                  // its first query
    bool tight = false;          // planning a query of the group alone gives the same ranges
    bool exact = false;          // `contains` equals `covers` and is stored once
    bool unplanned = false;      // nothing is stored
  };
  using Iterator = const Group*;

  void push(const Ranges& ranges, const Grid& grid) {
    for (const Range& r : ranges)
      columns_.push_back({static_cast<Column>(grid.column(r.begin)), static_cast<Column>(grid.column(r.end))});
  }
  [[nodiscard]] Slice<Columns> list(Index at, Index count) const {
    return {columns_.begin() + at, columns_.begin() + at + count};
  }
  [[nodiscard]] Slice<Columns> covers(const Group& group) const { return list(group.at, group.covers); }
  [[nodiscard]] Slice<Columns> contains(const Group& group) const {
    return group.exact ? covers(group) : list(group.at + group.covers, group.contains);
  }

  static bool equal(Slice<Columns> a, Slice<Columns> b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
  [[nodiscard]] bool same(const Group& a, const Group& b) const {
    return a.unplanned == b.unplanned && equal(covers(a), covers(b)) && equal(contains(a), contains(b));
  }

  /// Returns the group of a row. Searches around row * groups / n, which is close if most groups have the same size.
  [[nodiscard]] Iterator at(Index row, const Grid& grid) const {
    const Index count = groups_.size();
    Index low = row * count / grid.n, high = low + 1;
    for (Index step = 1; low > 0 && groups_[low].row > row; step *= 2) {
      high = low;
      low = std::max<Index>(low - step, 0);
    }
    for (Index step = 1; high < count && groups_[high].row <= row; step *= 2) {
      low = high;
      high = (std::min)(high + step, count);
    }
    const auto begin = groups_.begin();
    return std::partition_point(begin + low, begin + high, [&](const Group& g) { return g.row <= row; }) - 1;
  }
  /// Returns the groups of rows [first, last), or an empty range in the cases in which covers() returns false.
  [[nodiscard]] std::pair<Iterator, Iterator> overlapping(Index first, Index last, const Grid& grid) const {
    const Iterator begin = at(first, grid);
    Iterator end = begin;
    if (last - first == 1 && !begin->tight) return {begin, begin};
    for (; end != groups_.end() && end->row < last; ++end)
      if (end->unplanned) return {begin, begin};
    return {begin, end};
  }

  List<Group> groups_;
  List<Columns> columns_;
};

}  // namespace filigree::detail
