// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <tuple>
#include <type_traits>

#include "filigree/pattern/algebra.hpp"

namespace filigree::detail {

/// The intersection of several patterns, held by reference. Without patterns it keeps all pairs.
template <PatternStage... P>
class AllOf {
 public:
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = (detail::keeps_is_expensive<P> || ...);
  static constexpr bool ranges_are_exact = (detail::ranges_are_exact<P> && ...);

  explicit AllOf(std::tuple<const P&...> patterns) : patterns_(patterns) {}

  bool keeps(Index p, Index j, const Grid& grid) const {
    return std::apply([&](const auto&... pattern) { return (detail::keeps(pattern, p, j, grid) && ...); }, patterns_);
  }
  Index same_keys_until(Index p, const Grid& grid) const {
    Index until = (std::numeric_limits<Index>::max)();
    for_each_pattern(
        [&](const auto& pattern) { until = (std::min)(until, detail::same_keys_until(pattern, p, grid)); });
    return until;
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    intersect(grid, out, [&](const auto& pattern) { detail::covers(pattern, p0, p1, grid, out); });
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    intersect(grid, out, [&](const auto& pattern) { detail::contains(pattern, p0, p1, grid, out); });
  }

 private:
  template <class F>
  void for_each_pattern(F&& f) const {
    std::apply([&](const auto&... pattern) { (f(pattern), ...); }, patterns_);
  }

  /// Adds the intersection of the lists that add(pattern) adds.
  template <class Add>
  void intersect(const Grid& grid, Ranges& out, Add&& add) const {
    const Index mark = out.size();
    out.add(grid.key_at, grid.key_end());
    for_each_pattern([&](const auto& pattern) {
      const Index middle = out.size();
      add(pattern);
      out.intersect(mark, middle);
    });
  }

  std::tuple<const P&...> patterns_;
};

template <class T>
auto pattern_of(const T& stage) {
  if constexpr (PatternStage<T>)
    return std::tuple<const T&>(stage);
  else
    return std::tuple<>();
}
template <class... P>
AllOf<std::remove_cvref_t<P>...> all_of(const std::tuple<P...>& patterns) {
  return AllOf<std::remove_cvref_t<P>...>(patterns);
}

/// Returns the intersection of all patterns in a tuple of stages.
template <class Stages>
auto patterns_of(const Stages& stages) {
  return all_of(std::apply([](const auto&... stage) { return std::tuple_cat(pattern_of(stage)...); }, stages));
}

}  // namespace filigree::detail
