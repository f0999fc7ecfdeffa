// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/pattern/global.hpp"

namespace filigree {

/// A pattern: the keys of the same document, by an id for each position.
template <class Held>
struct Documents {
  using Category = Pattern;
  Held ids;
  bool sorted;  // true if the ids ascended on construction

  bool keeps(Index p, Index j) const { return has_id(p) && has_id(j) && id(p) == id(j); }
  Index same_keys_until(Index p, const Grid&) const { return sorted && has_id(p) ? end_of(id(p)) : p + 1; }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (!sorted) return out.add(grid.key_at, grid.key_end());
    p0 = std::max<Index>(p0, 0);
    p1 = (std::min)(p1, size());
    if (p0 < p1) out.add(begin_of(id(p0)), end_of(id(p1 - 1)));
  }
  void contains(Index p0, Index p1, const Grid&, Ranges& out) const {
    if (sorted && p0 < p1 && has_id(p0) && has_id(p1 - 1) && id(p0) == id(p1 - 1))
      out.add(begin_of(id(p0)), end_of(id(p0)));
  }
  void check(const Grid&) const {
    detail::require(!sorted || is_sorted(), "documents(ids): ids ascended when the pattern was made and no longer do");
  }

  [[nodiscard]] bool is_sorted() const {
    for (Index i = 1; i < size(); ++i)
      if (id(i) < id(i - 1)) return false;
    return true;
  }

 private:
  Index size() const { return static_cast<Index>(ids.size()); }
  auto id(Index i) const { return ids[static_cast<decltype(ids.size())>(i)]; }
  bool has_id(Index position) const { return position >= 0 && position < size(); }

  /// Returns the first position for which before(id) is false, by binary search.
  template <class Before>
  Index partition_point(Before&& before) const {
    Index begin = 0, end = size();
    while (begin < end) {
      const Index middle = begin + (end - begin) / 2;
      before(id(middle)) ? begin = middle + 1 : end = middle;
    }
    return begin;
  }
  template <class Id>
  Index begin_of(Id x) const {
    return partition_point([x](Id y) { return y < x; });
  }
  template <class Id>
  Index end_of(Id x) const {
    return partition_point([x](Id y) { return !(x < y); });
  }
};

/// Keeps the keys of the query's own document, for several documents packed into one sequence.
///
/// Formula    ids[p] = ids[j]
/// Shapes     ids: one integer for each position, starting at 0, in a vector, a span or an Eigen vector
/// Cost       ascending ids are planned by binary search; for other ids every pair is evaluated
/// Edge case  a position without an id attends to no key and is visible to no query
/// Aliasing   an lvalue and the memory of a span are held by reference: the ids must not change
template <detail::IntegerList Ids>
Documents<StoredOperand<Ids>> documents(Ids&& ids) {
  Documents<StoredOperand<Ids>> result{.ids = std::forward<Ids>(ids), .sorted = false};
  result.sorted = result.is_sorted();
  return result;
}

}  // namespace filigree
