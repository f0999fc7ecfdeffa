// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "filigree/nn/rows.hpp"
#include "filigree/pipe/row.hpp"

namespace filigree::detail {

/// The entries that a stage kept of each row, in ascending columns.
template <Real S>
struct Lists {
  Index n = 0, stride = 0;
  S* values = nullptr;        // [n][stride]
  Column* columns = nullptr;  // [n][stride]
  Index* counts = nullptr;    // [n]
  S* slopes = nullptr;        // [n][stride] the derivative by each value, on the way back
  bool with_absent = false;   // zeros are absent entries, which are here because something depends on their slopes

  [[nodiscard]] Index count() const {
    Index sum = 0;
    for (Index i = 0; i < n; ++i) sum += counts[i];
    return sum;
  }
};

/// Lists as a matrix: values[i][e] in column columns[i][e], 0 elsewhere.
template <Real S>
void scatter(const Lists<S>& lists, const S* values, Index cols, S* to, const Session& session) {
  for_each_rows(lists.n, session, [&](Index first, Index last) {
    std::fill(to + first * cols, to + last * cols, S(0));
    for (Index i = first; i < last; ++i)
      for (Index e = 0; e < lists.counts[i]; ++e)
        to[i * cols + lists.columns[i * lists.stride + e]] = values[i * lists.stride + e];
  });
}

/// Whether so few entries of rows of `cols` numbers are kept that it pays to touch them alone: they are fetched one by
/// one, which costs as much as some ten that lie side by side.
template <Real S>
bool is_sparse(const Lists<S>& lists, Index cols) {
  return 16 * lists.count() <= lists.n * cols;
}

/// What stands between two stages of a network: all numbers, or those that a stage kept of them, the others being 0.
template <Real S>
class Flow {
 public:
  Index n = 0, cols = 0;
  Lists<S> lists;          // where values is not null
  const S* all = nullptr;  // [n][cols]; null: see lists

  [[nodiscard]] bool listed() const { return lists.values != nullptr; }

  [[nodiscard]] bool sparse() const { return listed() && is_sparse(lists, cols); }

  /// Room for all numbers.
  S* fill(Index rows, Index columns) {
    n = rows;
    cols = columns;
    lists = {};
    S* to = memory_.get<S>((std::max)(n * cols, Index{1}));  // null would mean lists
    all = to;
    return to;
  }
  /// Numbers that lie elsewhere.
  void refer(Index rows, Index columns, const S* numbers) {
    n = rows;
    cols = columns;
    lists = {};
    all = numbers;
  }
  /// Room for the lists of a step, which owns it.
  void keep(Index columns, const Lists<S>& kept) {
    n = kept.n;
    cols = columns;
    lists = kept;
    all = nullptr;
  }

  /// Leaves it to the next stage to compute what it needs of this.
  void postpone(Index rows, Index columns) {
    n = rows;
    cols = columns;
    lists = {};
    all = nullptr;
  }
  [[nodiscard]] bool postponed() const { return all == nullptr && !listed(); }

  /// All numbers, absent ones as 0.
  ConstRows<S> rows(const Session& session) {
    if (all == nullptr) {
      S* to = memory_.get<S>((std::max)(n * cols, Index{1}));
      scatter(lists, lists.values, cols, to, session);
      all = to;
    }
    return {all, n, cols};
  }

 private:
  Buffer memory_;
};

/// The derivative by what stands between two stages: of all numbers, or those `slopes` of lists, the others being 0.
template <Real S>
struct Slope {
  S* all = nullptr;                // [n][cols]
  const Lists<S>* kept = nullptr;  // where all is null
};

/// Lists of a step, in memory of its own.
template <Real S>
class ListMemory {
 public:
  /// Room for n lists of so many entries.
  void hold(Index n, Index most) {
    lists_.n = n;
    lists_.stride = most + Row<S>::padding;
    const Index size = (std::max)(n * lists_.stride, Index{1});
    lists_.values = values_.get<S>(size);
    lists_.columns = columns_.get<Column>(size);
    lists_.slopes = slopes_.get<S>(size);
    lists_.counts = counts_.get<Index>((std::max)(n, Index{1}));
  }
  /// Numbers of entries, to be set before hold().
  Index* counts(Index n) { return counts_.get<Index>((std::max)(n, Index{1})); }
  void take(const Row<S>& row) { take(row.index, row.values, row.columns, row.count); }
  void take(Index i, const S* values, const Column* columns, Index count) {
    std::copy_n(values, count, lists_.values + i * lists_.stride);
    std::copy_n(columns, count, lists_.columns + i * lists_.stride);
    lists_.counts[i] = count;
  }
  [[nodiscard]] const Lists<S>& lists() const { return lists_; }

  /// Sets the slopes of the lists from those of `cols` numbers, or of lists that hold some of these entries.
  void receive(const Slope<S>& slope, Index cols, const Session& session) {
    if (slope.all == nullptr && slope.kept->slopes == lists_.slopes) return;
    for_each_rows(lists_.n, session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const Column* columns = lists_.columns + i * lists_.stride;
        S* to = lists_.slopes + i * lists_.stride;
        Index next = 0;
        for (Index e = 0; e < lists_.counts[i]; ++e) {
          if (slope.all != nullptr) {
            to[e] = slope.all[i * cols + columns[e]];
            continue;
          }
          const Index at = i * slope.kept->stride;
          const bool there = next < slope.kept->counts[i] && slope.kept->columns[at + next] == columns[e];
          to[e] = there ? slope.kept->slopes[at + next++] : S(0);
        }
      }
    });
  }

 private:
  Lists<S> lists_;
  Buffer values_, columns_, slopes_, counts_;
};

/// All numbers of a slope, in this memory if it holds lists.
template <Real S>
Rows<S> spread(const Slope<S>& slope, Index n, Index cols, Buffer& memory, const Session& session) {
  if (slope.all != nullptr) return {slope.all, n, cols};
  S* to = memory.get<S>((std::max)(n * cols, Index{1}));
  scatter(*slope.kept, slope.kept->slopes, cols, to, session);
  return {to, n, cols};
}

/// What the steps of a pass have in common.
struct Way {
  const Session& session;
  bool training;       // or an evaluation, in which nothing is left to chance
  std::uint64_t draw;  // number of the pass, for what is left to chance
  double l0 = 0;       // on the way back, the factor of l0() behind the stage
  bool adds = false;   // on the way back, gradients of parameters are added to those of the samples before
};

}  // namespace filigree::detail
