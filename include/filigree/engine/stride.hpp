// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include "filigree/pattern/algebra.hpp"
#include "filigree/pattern/dilated_window.hpp"
#include "filigree/pattern/keep.hpp"
#include "filigree/pattern/strided.hpp"
#include "filigree/pattern/window.hpp"

// Patterns with a stride: by strided(l) or dilated_window(r, l), a query keeps keys at distances that are multiples of
// l.

namespace filigree::detail {

/// A pattern in the form dense || (stepped && strided(step)).
template <class Dense, class Stepped>
struct Stride {
  Dense dense;
  Stepped stepped;
  Index step;
};

struct NoStride {};

/// Returns the strided form of a pattern, or NoStride if it has none.
template <class P>
auto stride_of(const P&) {
  return NoStride{};
}
inline auto stride_of(const Strided& p) { return Stride<KeepNone, KeepAll>{{}, {}, p.l}; }
inline auto stride_of(const DilatedWindow& p) {
  return Stride<KeepNone, Window>{{}, {.left = p.reach, .right = p.reach}, p.step};
}
template <bool all, class A, class B>
auto stride_of(const Combination<all, A, B>& p);

template <class P>
inline constexpr bool has_stride = !std::is_same_v<decltype(stride_of(std::declval<const P&>())), NoStride>;

/// Returns the strided form of a && b or a || b.
template <bool all, class Dense, class Stepped, class B>
auto combine_stride(const Stride<Dense, Stepped>& a, const B& b) {
  auto dense = [&] {
    if constexpr (!std::is_same_v<Dense, KeepNone>)
      return Combination<all, Dense, B>{a.dense, b};
    else if constexpr (all)
      return KeepNone{};
    else
      return b;
  }();
  auto stepped = [&] {
    if constexpr (all)
      return And<Stepped, B>{a.stepped, b};
    else
      return a.stepped;
  }();
  return Stride<decltype(dense), decltype(stepped)>{dense, stepped, a.step};
}
template <bool all, class A, class B>
auto stride_of(const Combination<all, A, B>& p) {
  if constexpr (has_stride<A>)
    return combine_stride<all>(stride_of(p.a), p.b);
  else if constexpr (has_stride<B>)
    return combine_stride<all>(stride_of(p.b), p.a);
  else
    return NoStride{};
}

}  // namespace filigree::detail
