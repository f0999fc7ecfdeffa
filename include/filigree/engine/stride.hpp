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
template <class A, class B>
auto stride_of(const And<A, B>& p);
template <class A, class B>
auto stride_of(const Or<A, B>& p);

template <class P>
inline constexpr bool has_stride = !std::is_same_v<decltype(stride_of(std::declval<const P&>())), NoStride>;

template <class A, class B>
auto stride_and(const Stride<KeepNone, A>& a, const B& b) {
  return Stride<KeepNone, And<A, B>>{{}, {a.stepped, b}, a.step};
}
template <class D, class A, class B>
auto stride_and(const Stride<D, A>& a, const B& b) {
  return Stride<And<D, B>, And<A, B>>{{a.dense, b}, {a.stepped, b}, a.step};
}
template <class A, class B>
auto stride_or(const Stride<KeepNone, A>& a, const B& b) {
  return Stride<B, A>{b, a.stepped, a.step};
}
template <class D, class A, class B>
auto stride_or(const Stride<D, A>& a, const B& b) {
  return Stride<Or<D, B>, A>{{a.dense, b}, a.stepped, a.step};
}

template <class A, class B>
auto stride_of(const And<A, B>& p) {
  if constexpr (has_stride<A>)
    return stride_and(stride_of(p.a), p.b);
  else if constexpr (has_stride<B>)
    return stride_and(stride_of(p.b), p.a);
  else
    return NoStride{};
}
template <class A, class B>
auto stride_of(const Or<A, B>& p) {
  if constexpr (has_stride<A>)
    return stride_or(stride_of(p.a), p.b);
  else if constexpr (has_stride<B>)
    return stride_or(stride_of(p.b), p.a);
  else
    return NoStride{};
}

}  // namespace filigree::detail
