// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/pipe/ranges.hpp"

namespace filigree::detail {

/// What groups of consecutive queries see, one list of column ranges after another. Groups that see the same are one;
/// of some, nothing is stored.
class PlannedRanges {
 public:
  struct Columns {
    Column begin, end;
    friend bool operator==(const Columns&, const Columns&) = default;
  };

  /// Adds queries from `row` on of which nothing is stored.
  void append_open(Index row) {
    if (groups_.empty() || !groups_.back().open)
      groups_.push_back({.at = columns_.size(), .row = static_cast<Column>(row), .open = true});
  }

  /// Adds the queries from `row` on; `alike` says that all of them keep the same keys.
  void append(Index row, bool alike, const Coverage& coverage, const Grid& grid) {
    const Index at = columns_.size();
    push(coverage.maybe, grid);
    const Index middle = columns_.size();
    push(coverage.sure, grid);
    Group group{.at = at,
                .covers = static_cast<std::uint32_t>(middle - at),
                .contains = static_cast<std::uint32_t>(columns_.size() - middle),
                .row = static_cast<Column>(row),
                .tight = alike};
    if (equal(list(at, group.covers), list(middle, group.contains))) {
      group.exact = group.tight = true;  // so every query keeps exactly these
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

  /// Adds the keys outside of which the queries of rows [first, last) keep nothing. Returns false and adds nothing if
  /// some of them are not stored, or a single one not as tightly as its pattern knows it.
  bool covers(Index first, Index last, const Grid& grid, Ranges& out) const {
    const auto [begin, end] = overlapping(first, last, grid);
    if (begin == end) return false;
    // Range k of one group mostly overlaps range k of the next: these are joined on the way.
    bool more = true;
    for (Index k = 0; more; ++k) {
      more = false;
      Columns joined{0, 0};
      for (auto group = begin; group != end; ++group) {
        if (k >= group->covers) continue;
        more = true;
        const Columns next = columns_[group->at + k];
        if (next.begin <= joined.end && joined.begin <= next.end) {
          joined = {(std::min)(joined.begin, next.begin), (std::max)(joined.end, next.end)};
        } else {
          out.add(grid.key_at + joined.begin, grid.key_at + joined.end);
          joined = next;
        }
      }
      out.add(grid.key_at + joined.begin, grid.key_at + joined.end);
    }
    return true;
  }

  /// Adds the keys inside which every one of them keeps everything, likewise.
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

  enum class Seen { no, maybe, yes };
  /// Whether a query keeps a key, as far as is known.
  [[nodiscard]] Seen sees(Index row, Index column, const Grid& grid) const {
    const auto has = [&](Slice<Columns> sorted) {
      const auto next =
          std::partition_point(sorted.begin(), sorted.end(), [&](const Columns& c) { return c.end <= column; });
      return next != sorted.end() && next->begin <= column;
    };
    const auto group = at(row, grid);
    return !has(covers(*group)) ? Seen::no : has(contains(*group)) ? Seen::yes : Seen::maybe;
  }

  /// Calls f(first, last, least, most) for each group: at least and at most so many keys for each query.
  template <class F>
  void each_group(const Grid& grid, F&& f) const {
    const auto count = [](Slice<Columns> list) {
      Index sum = 0;
      for (const Columns& c : list) sum += c.end - c.begin;
      return sum;
    };
    for (Index g = 0; g < groups_.size(); ++g) {
      const Index first = groups_[g].row, last = g + 1 < groups_.size() ? Index(groups_[g + 1].row) : grid.n;
      f(first, last, count(contains(groups_[g])), groups_[g].open ? grid.m : count(covers(groups_[g])));
    }
  }

 private:
  struct Group {
    Index at;                    // its first range
    std::uint32_t covers = 0;    // so many, and then
    std::uint32_t contains = 0;  // so many, unless exact
    Column row;                  // its first query
    bool tight = false;          // the lists are those of each query
    bool exact = false;          // contains is covers, and stored once
    bool open = false;           // nothing is stored
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
    return a.open == b.open && equal(covers(a), covers(b)) && equal(contains(a), contains(b));
  }

  /// The group of a row. It lies near its share of the rows, where most groups are of one size.
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
  /// The groups of rows [first, last); none unless they can answer for them.
  [[nodiscard]] std::pair<Iterator, Iterator> overlapping(Index first, Index last, const Grid& grid) const {
    const Iterator begin = at(first, grid);
    Iterator end = begin;
    if (last - first == 1 && !begin->tight) return {begin, begin};
    for (; end != groups_.end() && end->row < last; ++end)
      if (end->open) return {begin, begin};
    return {begin, end};
  }

  List<Group> groups_;
  List<Columns> columns_;
};

}  // namespace filigree::detail
