// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <concepts>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/nn/rows.hpp"

namespace filigree {

// Terms of a loss. A term is a small value type with a member type `Kind`, which is one of the following tags, and with
// the function that its tag names. The function returns the value times the factor. If the gradient is not null, it
// adds the derivative of this product to it. Unless a term documents another reduction, it sums over latents or outputs
// and averages over samples.

/// A term of activations: `double add(ConstRows<S> a, double factor, S* gradient, const Session&) const`.
struct Penalty {};
/// A term of outputs and targets: `double add(ConstRows<S> y, ConstRows<S> target, double factor, S* gradient, const
/// Session&) const`. The gradient is with respect to y.
///
/// Optional members: `by_sample` is true if the value is the mean over samples of independent values. `set` has the
/// parameters of `add`, but overwrites the gradient. `reads_targets` is false if it does not read the targets, which
/// may then be missing.
struct Loss {};
/// A term of the codes of an autoencoder and of its linear decoder: `double add(detail::CodePass<S>&, double factor)
/// const`. It adds to the gradients of the codes and of the decoder, unless they are null.
struct CodeLoss {};
/// A term of the residuals of an autoencoder: `double add(detail::ResidualPass<S>&, double factor) const`. It adds to
/// the gradients of the encoder and of the decoder, unless they are null.
struct ResidualLoss {};
/// A term of the weights, without the biases: `double add(const S* weights, Index count, double factor, S* gradient)
/// const`.
struct Decay {};

namespace detail {
struct Mixed {};  // the kind of a sum of terms of different kinds
}  // namespace detail

template <class T>
concept Term = requires {
  typename std::remove_cvref_t<T>::Kind;
};
template <class T, class Tag>
concept TermOf = Term<T> && std::same_as<typename std::remove_cvref_t<T>::Kind, Tag>;

/// A term times a factor.
template <Term T>
struct Scaled {
  using Kind = typename T::Kind;
  double factor;
  T term;
};

/// The sum of two terms.
template <Term A, Term B>
struct Plus {
  using Kind = std::conditional_t<TermOf<A, typename B::Kind>, typename B::Kind, detail::Mixed>;
  A a;
  B b;
};

/// Scales a loss or a penalty.
///
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

/// True if the first term of an expression has set(), which overwrites the gradient instead of adding to it.
template <class T>
inline constexpr bool sets_gradient = requires {
  &std::remove_cvref_t<T>::template set<double>;
};
template <class A, class B>
inline constexpr bool sets_gradient<Plus<A, B>> = sets_gradient<A>;
template <class T>
inline constexpr bool sets_gradient<Scaled<T>> = sets_gradient<T>;

/// True if a loss of an expression reads the targets. A loss that does not has the member `reads_targets`, false.
template <class T>
inline constexpr bool reads_targets = TermOf<T, Loss>;
template <class T>
  requires requires { requires !std::remove_cvref_t<T>::reads_targets; }
inline constexpr bool reads_targets<T> = false;
template <class A, class B>
inline constexpr bool reads_targets<Plus<A, B>> = reads_targets<A> || reads_targets<B>;
template <class T>
inline constexpr bool reads_targets<Scaled<T>> = reads_targets<T>;

/// Returns true if the losses of an expression may be computed in batches of samples.
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
