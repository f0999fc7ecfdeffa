// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/core/integers.hpp"
#include "filigree/run/workspace.hpp"

// A few queries with many keys: the workers select from parts of the keys, and the selections are merged.

namespace filigree::detail {

/// Parts of consecutive panels of keys. They do not depend on the number of threads.
struct KeyParts {
  Index count = 1, panels = 0;  // of each part

  /// Returns the parts for some queries that keep k of m keys: one part if there is one worker, if the queries are many
  /// enough to be divided between the workers, or if the keys are few. The selections from all parts of a row have at
  /// most half as many entries as the row.
  static KeyParts of(Index queries, Index m, Index k, Index width, const Session& session) {
    const Index size = ceil_div(std::max<Index>(4096, 2 * k), width), parts = ceil_div(m, size * width);
    if (session.concurrency() == 1 || queries < 1 || queries > 16 || parts < 2) return {};
    return {parts, size};
  }
  [[nodiscard]] Range operator[](Index part) const { return {part * panels, (part + 1) * panels}; }
};

/// The selections of rows from parts of the keys.
template <Real S>
struct SelectionParts {
  Index rows = 0, parts = 0, k = 0;
  kernel::Candidates<S> lists{};  // [rows][parts][k + padding], with count [parts][rows] and bound [rows]

  SelectionParts() = default;
  SelectionParts(Index rows_, Index parts_, Index k_, const Session& session) : rows(rows_), parts(parts_), k(k_) {
    const Index stride = parts * (k + Row<S>::padding);
    S* values = session.next_buffer().template get<S>(rows * (stride + 1));
    Column* columns = session.next_buffer().template get<Column>(rows * (stride + parts));
    lists = {values, columns, stride, columns + rows * stride, values + rows * stride};
  }

  /// Returns the lists of a part, into which a worker selects.
  [[nodiscard]] kernel::Candidates<S> operator[](Index part) const {
    const Index at = part * (k + Row<S>::padding);
    return {lists.values + at, lists.columns + at, lists.stride, lists.count + part * rows, lists.bound};
  }
  /// Moves the k largest of the selections of rows [first, first + count) to `to`: ties go to the lowest column, since
  /// the columns of a part are below those of the next part.
  void merge(Index first, Index count, const kernel::Candidates<S>& to) const {
    const kernel::Candidates<S> whole = lists.from(first);
    std::fill_n(whole.bound, count, -std::numeric_limits<S>::infinity());
    for (Index part = 1; part < parts; ++part) {
      const kernel::Candidates<S> next = (*this)[part].from(first);
      for (Index r = 0; r < count; ++r) {
        const Index at = r * lists.stride, end = at + whole.count[r];
        std::copy_n(next.values + at, next.count[r], whole.values + end);
        std::copy_n(next.columns + at, next.count[r], whole.columns + end);
        whole.count[r] += next.count[r];
      }
    }
    kernel::kernels<S>().move_top_k(whole, count, k, to);
  }
};

}  // namespace filigree::detail
