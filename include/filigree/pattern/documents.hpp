// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/pattern/global.hpp"

namespace filigree {

/// What documents(ids) returns.
template <class Held>
struct Documents {
  using Category = Pattern;
  Held ids;
  bool sorted;  // found when it was made

  bool keeps(Index p, Index j) const { return inside(p) && inside(j) && id(p) == id(j); }
  Index same_keys_until(Index p, const Grid&) const { return sorted && inside(p) ? first_beyond(id(p)) : p + 1; }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (!sorted) return out.add(grid.key_at, grid.key_end());
    p0 = std::max<Index>(p0, 0);
    p1 = (std::min)(p1, size());
    if (p0 < p1) out.add(first_of(id(p0)), first_beyond(id(p1 - 1)));
  }
  void contains(Index p0, Index p1, const Grid&, Ranges& out) const {
    if (sorted && p0 < p1 && inside(p0) && inside(p1 - 1) && id(p0) == id(p1 - 1))
      out.add(first_of(id(p0)), first_beyond(id(p0)));
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
  bool inside(Index at) const { return at >= 0 && at < size(); }

  template <class Before>
  Index first_not(Before&& before) const {
    Index begin = 0, end = size();
    while (begin < end) {
      const Index middle = begin + (end - begin) / 2;
      before(id(middle)) ? begin = middle + 1 : end = middle;
    }
    return begin;
  }
  template <class Id>
  Index first_of(Id x) const {
    return first_not([x](Id y) { return y < x; });
  }
  template <class Id>
  Index first_beyond(Id x) const {
    return first_not([x](Id y) { return !(x < y); });
  }
};

namespace detail {

template <class Ids>
struct HeldIds {
  using type = Operand<Ids>;
};
template <class Ids>
  requires DenseExpression<Ids> &&(!(std::remove_cvref_t<Ids>::Flags & Eigen::DirectAccessBit)) struct HeldIds<Ids> {
    using type = typename std::remove_cvref_t<Ids>::PlainObject;
  };
  template <class T, std::size_t extent>
  struct HeldIds<std::span<T, extent>&> {
    using type = std::span<T, extent>;
  };
  template <class T, std::size_t extent>
  struct HeldIds<const std::span<T, extent>&> {
    using type = std::span<T, extent>;
  };

}  // namespace detail

/// Keeps the keys of the query's own sequence, where several sequences are packed into one.
///
/// Formula    ids[p] = ids[j]
/// Shapes     ids: one integer for each position from 0 on; a vector, a span, an Eigen vector
/// Cost       ids that ascend are planned by binary search; with others every pair is looked at
/// Edge case  a position that ids does not reach sees nothing and is seen by nothing
/// Aliasing   an lvalue is held by reference, and a span by what it views: its values must stay as they are
template <detail::IntegerList Ids>
auto documents(Ids&& ids) {
  using Held = typename detail::HeldIds<Ids>::type;
  Documents<Held> result{.ids = std::forward<Ids>(ids), .sorted = false};
  result.sorted = result.is_sorted();
  return result;
}

}  // namespace filigree
