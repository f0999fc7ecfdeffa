// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "filigree/stage/ranges.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

template <Stage... Stages>
struct Pipeline;

/// The intersection (`all`) or the union of two patterns.
template <bool all, PatternStage A, PatternStage B>
struct Combination {
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = detail::keeps_is_expensive<A> || detail::keeps_is_expensive<B>;
  static constexpr bool ranges_are_exact = detail::ranges_are_exact<A> && detail::ranges_are_exact<B>;
  A a;
  B b;

  bool keeps(Index p, Index j, const Grid& grid) const {
    return detail::keeps(a, p, j, grid) == all ? detail::keeps(b, p, j, grid) : !all;
  }
  Index same_keys_until(Index p, const Grid& grid) const {
    return (std::min)(detail::same_keys_until(a, p, grid), detail::same_keys_until(b, p, grid));
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    combine(out, [&](const auto& pattern) { detail::covers(pattern, p0, p1, grid, out); });
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    combine(out, [&](const auto& pattern) { detail::contains(pattern, p0, p1, grid, out); });
  }
  void check(const Grid& grid) const {
    detail::check(a, grid);
    detail::check(b, grid);
  }
  bool is_scattered(const Grid& grid) const requires(detail::may_be_scattered<A> || detail::may_be_scattered<B>) {
    return detail::is_scattered(a, grid) || detail::is_scattered(b, grid);
  }
  bool reads(const AddressRange& target) const { return detail::reads(a, target) || detail::reads(b, target); }

 private:
  /// Adds the intersection or the union of the lists that add(pattern) adds.
  template <class Add>
  void combine(Ranges& out, Add&& add) const {
    const Index mark = out.size();
    add(a);
    const Index middle = out.size();
    add(b);
    all ? out.intersect(mark, middle) : out.unite(mark, middle);
  }
};

/// The intersection of two patterns.
template <PatternStage A, PatternStage B>
using And = Combination<true, A, B>;
/// The union of two patterns.
template <PatternStage A, PatternStage B>
using Or = Combination<false, A, B>;

/// The complement of a pattern.
template <PatternStage A>
struct Not {
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = detail::keeps_is_expensive<A>,
                        ranges_are_exact = detail::ranges_are_exact<A>;
  A a;

  bool keeps(Index p, Index j, const Grid& grid) const { return !detail::keeps(a, p, j, grid); }
  Index same_keys_until(Index p, const Grid& grid) const { return detail::same_keys_until(a, p, grid); }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index mark = out.size();
    detail::contains(a, p0, p1, grid, out);
    out.complement(mark, grid);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index mark = out.size();
    detail::covers(a, p0, p1, grid, out);
    out.complement(mark, grid);
  }
  void check(const Grid& grid) const { detail::check(a, grid); }
  bool reads(const AddressRange& target) const { return detail::reads(a, target); }
};

namespace detail {

template <class T>
inline constexpr bool is_stage_or_pipeline = Stage<T>;
template <class... S>
inline constexpr bool is_stage_or_pipeline<Pipeline<S...>> = true;
template <class T>
concept StageOrPipeline = is_stage_or_pipeline<std::remove_cvref_t<T>>;

template <class T>
concept NonPattern = StageOrPipeline<T> && !PatternStage<T>;
/// A and B are stages or pipelines, and at least one of them is not a pattern.
template <class B, class A>
concept NotBothPatterns = (NonPattern<A> && StageOrPipeline<B>) || (StageOrPipeline<A> && NonPattern<B>);

template <class...>
inline constexpr bool only_patterns = false;

}  // namespace detail

/// Keeps the pairs that both patterns keep.
///
/// Formula    a(p, j) and b(p, j)
template <PatternStage A, PatternStage B>
And<std::remove_cvref_t<A>, std::remove_cvref_t<B>> operator&&(A&& a, B&& b) {
  return {std::forward<A>(a), std::forward<B>(b)};
}

/// Keeps the pairs that at least one of the patterns keeps.
///
/// Formula    a(p, j) or b(p, j)
template <PatternStage A, PatternStage B>
Or<std::remove_cvref_t<A>, std::remove_cvref_t<B>> operator||(A&& a, B&& b) {
  return {std::forward<A>(a), std::forward<B>(b)};
}

/// Keeps the pairs that the pattern does not keep.
///
/// Formula    not a(p, j)
template <PatternStage A>
Not<std::remove_cvref_t<A>> operator!(A&& a) {
  return {std::forward<A>(a)};
}

// The following overloads give a one-line error for operands that are not patterns, instead of a list of candidates.

/// Does not compile: both operands must be patterns.
template <class A, detail::NotBothPatterns<A> B>
std::remove_cvref_t<A> operator&&(A&& a, B&&) {
  static_assert(detail::only_patterns<A, B>,
                "filigree: && and || combine patterns; put every other stage, and pipelines, after |");
  return std::forward<A>(a);
}

/// Does not compile: both operands must be patterns.
template <class A, detail::NotBothPatterns<A> B>
std::remove_cvref_t<A> operator||(A&& a, B&&) {
  static_assert(detail::only_patterns<A, B>,
                "filigree: && and || combine patterns; put every other stage, and pipelines, after |");
  return std::forward<A>(a);
}

/// Does not compile: the operand must be a pattern.
template <detail::NonPattern A>
std::remove_cvref_t<A> operator!(A&& a) {
  static_assert(detail::only_patterns<A>, "filigree: !P: P must be a pattern");
  return std::forward<A>(a);
}

}  // namespace filigree
