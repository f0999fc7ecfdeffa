// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <concepts>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/nn/rows.hpp"

namespace filigree {

// What is added up to a loss. A term is a small value type with a member type `Kind`, one of the following tags, and
// the function that its tag asks for. It returns its value times the factor and, where there is a gradient, adds the
// derivative of that. Reductions: the sum over latents or outputs, the mean over samples, where a term
// says no other.

/// A term of activations: `double add(ConstRows<S> a, double factor, S* gradient, const Session&) const`.
struct Penalty {};
/// A term of outputs and targets: `double add(ConstRows<S> y, ConstRows<S> target, double factor, S* gradient, const
/// Session&) const`, whose gradient is that of y. A member `by_sample` that is true says that it is the mean over
/// samples of what each comes to by itself, and `set`, if there is one, does what add does to a gradient of 0.
struct Loss {};
/// A term of an autoencoder's codes and its decoder, a linear layer: `double add(detail::CodePass<S>&, double factor)
/// const`, which adds to the gradients of the codes and to the gradient of the decoder where there is one.
struct CodeLoss {};
/// A term of the errors of an autoencoder: `double add(detail::ResidualPass<S>&, double factor) const`, which adds to
/// the gradients of the encoder and the decoder where there are some.
struct ResidualLoss {};
/// A term of weights, biases excluded: `double add(const S* weights, Index count, double factor, S* gradient) const`.
struct Decay {};

namespace detail {
struct Mixed {};  // the kind of a sum of different ones
}  // namespace detail

template <class T>
concept Term = requires {
  typename std::remove_cvref_t<T>::Kind;
};
template <class T, class Tag>
concept TermOf = Term<T> && std::same_as<typename std::remove_cvref_t<T>::Kind, Tag>;

/// What factor * term returns.
template <Term T>
struct Scaled {
  using Kind = typename T::Kind;
  double factor;
  T term;
};

/// What a + b returns.
template <Term A, Term B>
struct Plus {
  using Kind = std::conditional_t<TermOf<A, typename B::Kind>, typename B::Kind, detail::Mixed>;
  A a;
  B b;
};

/// Scales a loss or a penalty.
/// Throws  Error if the factor is not finite
template <Term T>
Scaled<std::remove_cvref_t<T>> operator*(double factor, T&& term) {
  detail::require(std::isfinite(factor), "factor * term: the factor must be finite, got ", factor);
  return {factor, std::forward<T>(term)};
}
/// Scales a loss or a penalty.
template <Term T>
Scaled<std::remove_cvref_t<T>> operator*(T&& term, double factor) {
  return factor * std::forward<T>(term);
}
/// Adds losses or penalties.
template <Term A, Term B>
Plus<std::remove_cvref_t<A>, std::remove_cvref_t<B>> operator+(A&& a, B&& b) {
  return {std::forward<A>(a), std::forward<B>(b)};
}

namespace detail {

/// Whether the first term of an expression has set(), which does what add() does to a gradient of 0.
template <class T>
inline constexpr bool sets_gradient = requires {
  &std::remove_cvref_t<T>::template set<double>;
};
template <class A, class B>
inline constexpr bool sets_gradient<Plus<A, B>> = sets_gradient<A>;
template <class T>
inline constexpr bool sets_gradient<Scaled<T>> = sets_gradient<T>;

/// Whether the losses of an expression may be computed some samples at a time.
template <class T>
bool is_by_sample(const T& term) {
  if constexpr (TermOf<T, Decay>)
    return true;
  else if constexpr (requires { term.by_sample; })
    return term.by_sample;
  else
    return false;
}
template <class T>
bool is_by_sample(const Scaled<T>& scaled);
template <class A, class B>
bool is_by_sample(const Plus<A, B>& sum) {
  return is_by_sample(sum.a) && is_by_sample(sum.b);
}
template <class T>
bool is_by_sample(const Scaled<T>& scaled) {
  return is_by_sample(scaled.term);
}

/// Calls f(term, factor) for each term of an expression, from left to right.
template <Term T, class F>
void each_term(const T& term, double factor, F&& f) {
  f(term, factor);
}
template <class A, class B, class F>
void each_term(const Plus<A, B>& sum, double factor, F&& f);
template <class T, class F>
void each_term(const Scaled<T>& scaled, double factor, F&& f) {
  each_term(scaled.term, factor * scaled.factor, f);
}
template <class A, class B, class F>
void each_term(const Plus<A, B>& sum, double factor, F&& f) {
  each_term(sum.a, factor, f);
  each_term(sum.b, factor, f);
}

}  // namespace detail
}  // namespace filigree
