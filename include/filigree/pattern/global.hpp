// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <initializer_list>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern of global tokens.
struct Global {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  std::vector<Index> ids;  // ascending, distinct; negative ids count from the end of the keys

  bool keeps(Index p, Index j, const Grid& grid) const { return is_global(p, grid) || is_global(j, grid); }
  Index same_keys_until(Index p, const Grid& grid) const {
    if (is_global(p, grid)) return p + 1;
    Index next = (std::numeric_limits<Index>::max)();
    for (const Index id : ids) {
      const Index at = id < 0 ? grid.key_end() + id : id;
      if (at > p) next = (std::min)(next, at);
    }
    return next;
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    for (Index p = p0; p < p1; ++p)
      if (is_global(p, grid)) return out.add(grid.key_at, grid.key_end());
    add_columns(grid, out);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    bool all = true;
    for (Index p = p0; p < p1 && all; ++p) all = is_global(p, grid);
    if (all) return out.add(grid.key_at, grid.key_end());
    add_columns(grid, out);
  }

 private:
  bool is_global(Index at, const Grid& grid) const {
    // Called for every pair of a partial tile. Most positions are outside the range of ids, so that is tested first.
    const auto has = [&](Index id) {
      return !ids.empty() && ids.front() <= id && id <= ids.back() && std::binary_search(ids.begin(), ids.end(), id);
    };
    return (at >= 0 && has(at)) || (at < grid.key_end() && has(at - grid.key_end()));
  }
  void add_columns(const Grid& grid, Ranges& out) const {
    for (const Index id : ids) {
      const Index at = id < 0 ? grid.key_end() + id : id;
      out.add(at, at + 1);
    }
  }
};

namespace detail {

template <class T>
concept IntegerList = requires(const std::remove_cvref_t<T>& list) {
  { list.size() } -> std::convertible_to<Index>;
  { list[0] } -> std::convertible_to<Index>;
  requires std::integral<std::remove_cvref_t<decltype(list[0])>>;
};

inline Global global_of(std::vector<Index> ids) {
  constexpr Index limit = Index{1} << 62;  // beyond every position, and small enough that sums do not overflow
  for (Index& id : ids) id = std::clamp(id, -limit, limit);
  std::sort(ids.data(), ids.data() + ids.size());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return {.ids = std::move(ids)};
}

}  // namespace detail

/// Makes the given positions global tokens: they attend to every key and are visible to every query.
///
/// Formula    p ∈ ids or j ∈ ids
/// Cost       O(log(ids)) for each pair outside the planned ranges
/// Edge case  a negative id counts from the end of the keys, where -1 is the last key; ids outside the keys are ignored
/// Reference  Beltagy et al., arXiv:2004.05150, section 3.1
inline Global global(std::initializer_list<Index> ids) { return detail::global_of(ids); }

/// Makes global tokens of any list of integers, such as a std::vector, a std::span or an Eigen vector.
template <detail::IntegerList Ids>
Global global(const Ids& ids) {
  std::vector<Index> list;
  list.reserve(static_cast<std::size_t>(ids.size()));
  for (Index i = 0; i < static_cast<Index>(ids.size()); ++i)
    list.push_back(static_cast<Index>(ids[static_cast<decltype(ids.size())>(i)]));
  return detail::global_of(std::move(list));
}

}  // namespace filigree
