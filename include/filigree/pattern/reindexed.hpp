// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "filigree/stage/ranges.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree::detail {

/// A pattern on other indices: keeps (p, j) if `pattern` keeps (indices.query(p), indices.key(j)), positions on the
/// grid indices.original(grid). `Held` is a pattern or a reference to one. Indices in any order need no other members,
/// and the ranges of the pattern are not used. Otherwise Indices has:
///
/// - for_each_range(p0, p1, f): calls f(q0, q1) for ranges of positions that contain those of the queries p0 <= p < p1.
///   For one query the range is its position.
/// - first_query(q): returns the first query whose position is at least q. Positions of queries must not descend.
/// - to_keys(mark, ranges, grid): replaces normalized ranges of positions, from `mark` on, by normalized ranges of
/// keys.
template <class Held, class Indices>
struct Reindexed {
  using Category = Pattern;
  using Original = std::remove_cvref_t<Held>;
  static constexpr bool is_ordered = requires(const Indices& i) { i.first_query(0); };
  static constexpr bool keeps_is_expensive = is_ordered && detail::keeps_is_expensive<Original>;
  static constexpr bool ranges_are_exact = is_ordered && detail::ranges_are_exact<Original>;
  Held pattern;
  Indices indices;

  bool keeps(Index p, Index j, const Grid& grid) const {
    return detail::keeps(pattern, indices.query(p), indices.key(j), indices.original(grid));
  }
  Index same_keys_until(Index p, const Grid& grid) const requires(is_ordered) {
    return indices.first_query(detail::same_keys_until(pattern, indices.query(p), indices.original(grid)));
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const requires(is_ordered) {
    const Index mark = out.size();
    const Grid original = indices.original(grid);
    Index count = 0;
    indices.for_each_range(p0, p1, [&](Index q0, Index q1) {
      detail::covers(pattern, q0, q1, original, out);
      ++count;
    });
    if (count > 1) out.normalize(mark, original);
    indices.to_keys(mark, out, grid);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const requires(is_ordered) {
    const Index mark = out.size();
    const Grid original = indices.original(grid);
    bool is_first = true;
    indices.for_each_range(p0, p1, [&](Index q0, Index q1) {
      const Index middle = out.size();
      if (!is_first && middle == mark) return;  // the intersection is empty
      detail::contains(pattern, q0, q1, original, out);
      if (!is_first) out.intersect(mark, middle);
      is_first = false;
    });
    indices.to_keys(mark, out, grid);
  }
  bool is_scattered(const Grid& grid) const requires(detail::may_be_scattered<Original>) {
    return detail::is_scattered(pattern, indices.original(grid));
  }
  void check(const Grid& grid) const { detail::check(pattern, indices.original(grid)); }
  bool reads(const AddressRange& target) const { return detail::reads(pattern, target); }
};

}  // namespace filigree::detail
