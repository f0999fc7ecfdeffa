// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <type_traits>

#include "filigree/stage/category.hpp"
#include "filigree/stage/grid.hpp"
#include "filigree/stage/ranges.hpp"

namespace filigree {

/// The members of a pattern, with the defaults of the optional ones. Planner and engines read a pattern through these
/// traits only. The optional members affect speed; a wrong promise gives wrong results, which `verify` finds.
///
/// | member of P | default | promise | reader |
/// |---|---|---|---|
/// | `bool keeps(p, j)` or `keeps(p, j, grid)` | required | query p attends to key j | evaluator, partial tiles |
/// | `void covers(p0, p1, grid, ranges)` | all keys | queries p0 <= p < p1 keep no key outside the ranges | planner |
/// | `void contains(p0, p1, grid, ranges)` | no keys | each of these queries keeps all keys inside them | planner |
/// | `Index same_keys_until(p, grid)` | p + 1 | queries from p to the result (exclusive) keep the same keys | planner |
/// | `keeps_is_expensive` (static) | false | planning one query costs less than calling keeps() for a few keys | plan()
/// | | `ranges_are_exact` (static) | false | for one query, covers() and contains() are exactly its keys | tiles | |
/// `bool is_scattered(grid)` | false | most keys of a query are isolated, and other queries keep other keys | engines |
template <class P>
struct pattern_traits {
  static_assert(PatternStage<P>, "filigree: pattern_traits<P>: P must be a pattern");

  static constexpr bool keeps_is_expensive = [] {
    if constexpr (requires { P::keeps_is_expensive; }) return bool(P::keeps_is_expensive);
    return false;
  }();
  static constexpr bool ranges_are_exact = [] {
    if constexpr (requires { P::ranges_are_exact; }) return bool(P::ranges_are_exact);
    return false;
  }();
  /// True if P has is_scattered().
  static constexpr bool may_be_scattered = requires(const P& pattern, const Grid& grid) { pattern.is_scattered(grid); };

  static bool keeps(const P& pattern, Index p, Index j, const Grid& grid) {
    if constexpr (requires { pattern.keeps(p, j, grid); })
      return pattern.keeps(p, j, grid);
    else
      return pattern.keeps(p, j);
  }
  /// Adds key ranges outside which queries p0 <= p < p1 keep nothing.
  static void covers(const P& pattern, Index p0, Index p1, const Grid& grid, Ranges& out) {
    const Index mark = out.size();
    if constexpr (requires { pattern.covers(p0, p1, grid, out); })
      pattern.covers(p0, p1, grid, out);
    else
      out.add(grid.key_at, grid.key_end());
    out.normalize(mark, grid);
  }
  /// Adds key ranges inside which every query p0 <= p < p1 keeps all keys.
  static void contains(const P& pattern, Index p0, Index p1, const Grid& grid, Ranges& out) {
    const Index mark = out.size();
    if constexpr (requires { pattern.contains(p0, p1, grid, out); }) pattern.contains(p0, p1, grid, out);
    out.normalize(mark, grid);
  }
  static Index same_keys_until(const P& pattern, Index p, const Grid& grid) {
    if constexpr (requires { pattern.same_keys_until(p, grid); })
      return (std::max)(pattern.same_keys_until(p, grid), p + 1);  // a user's pattern may fail to advance
    else
      return p + 1;
  }
  static bool is_scattered(const P& pattern, const Grid& grid) {
    if constexpr (may_be_scattered)
      return pattern.is_scattered(grid);
    else
      return false;
  }
};

namespace detail {

template <class P>
inline constexpr bool keeps_is_expensive = false;
template <PatternStage P>
inline constexpr bool keeps_is_expensive<P> = pattern_traits<std::remove_cvref_t<P>>::keeps_is_expensive;
template <class P>
inline constexpr bool ranges_are_exact = false;
template <PatternStage P>
inline constexpr bool ranges_are_exact<P> = pattern_traits<std::remove_cvref_t<P>>::ranges_are_exact;
template <class P>
inline constexpr bool may_be_scattered = false;
template <PatternStage P>
inline constexpr bool may_be_scattered<P> = pattern_traits<std::remove_cvref_t<P>>::may_be_scattered;

template <PatternStage P>
bool keeps(const P& pattern, Index p, Index j, const Grid& grid) {
  return pattern_traits<P>::keeps(pattern, p, j, grid);
}
template <PatternStage P>
void covers(const P& pattern, Index p0, Index p1, const Grid& grid, Ranges& out) {
  pattern_traits<P>::covers(pattern, p0, p1, grid, out);
}
template <PatternStage P>
void contains(const P& pattern, Index p0, Index p1, const Grid& grid, Ranges& out) {
  pattern_traits<P>::contains(pattern, p0, p1, grid, out);
}
template <PatternStage P>
Index same_keys_until(const P& pattern, Index p, const Grid& grid) {
  return pattern_traits<P>::same_keys_until(pattern, p, grid);
}
/// Returns false for stages that are no patterns.
template <class T>
bool is_scattered(const T& stage, const Grid& grid) {
  if constexpr (may_be_scattered<T>)
    return pattern_traits<T>::is_scattered(stage, grid);
  else
    return false;
}

}  // namespace detail
}  // namespace filigree
