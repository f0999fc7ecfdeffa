// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/stage/stage.hpp"

namespace filigree {

/// A sequence of stages without a source. It can be applied to any number of sources.
template <Stage... Stages>
struct Pipeline {
  std::tuple<Stages...> stages;
};

namespace detail {

template <class T>
inline constexpr bool is_pipeline = false;
template <class... S>
inline constexpr bool is_pipeline<Pipeline<S...>> = true;

/// A stage or a pipeline: a valid right operand of `|`.
template <class T>
concept Piped = Stage<T> || is_pipeline<std::remove_cvref_t<T>>;

template <class T>
auto stages_of(T&& x) {
  if constexpr (is_pipeline<std::remove_cvref_t<T>>)
    return std::forward<T>(x).stages;
  else
    return std::tuple<std::remove_cvref_t<T>>(std::forward<T>(x));
}

template <class Tuple>
inline constexpr std::size_t size_of = std::tuple_size_v<Tuple>;

/// Returns true if the first sequence ends and the second begins with a pattern. This is an error: a reader could take
/// `|` between two patterns for "and" or for "or".
template <class... A, class... B>
constexpr bool joins_two_patterns(const std::tuple<A...>*, const std::tuple<B...>*) {
  if constexpr (sizeof...(A) > 0 && sizeof...(B) > 0)
    return PatternStage<std::tuple_element_t<sizeof...(A) - 1, std::tuple<A...>>> &&
           PatternStage<std::tuple_element_t<0, std::tuple<B...>>>;
  else
    return false;
}

template <class A, class B>
auto join(A&& a, B&& b) {
  static_assert(
      !joins_two_patterns(static_cast<std::remove_cvref_t<A>*>(nullptr), static_cast<std::remove_cvref_t<B>*>(nullptr)),
      "filigree: two patterns in a row: combine patterns with && or ||, not with |");
  return std::tuple_cat(std::forward<A>(a), std::forward<B>(b));
}

template <class... S>
Pipeline<S...> make_pipeline(std::tuple<S...> stages) {
  return {std::move(stages)};
}

}  // namespace detail

/// Composes stages and pipelines from left to right.
template <detail::Piped A, detail::Piped B>
auto operator|(A&& a, B&& b) {
  return detail::make_pipeline(
      detail::join(detail::stages_of(std::forward<A>(a)), detail::stages_of(std::forward<B>(b))));
}

}  // namespace filigree
