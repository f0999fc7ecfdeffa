// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <type_traits>

#include "filigree/stage/category.hpp"
#include "filigree/stage/row.hpp"

// The derivative of a stage belongs to the stage. backward() turns the gradient with respect to the entries after a
// stage into the gradient with respect to the entries before it. Entries that the stage made absent have gradient 0,
// and the choice of a selector is constant.

namespace filigree::detail {

template <class T, class S>
concept DifferentiableMap = MapStage<T> &&(
    requires(const T& stage, S x) { stage.derivative(x, x); } ||
    requires(const T& stage, S x, Index p, const Grid& grid) { stage.derivative(x, x, p, p, grid); });

/// Returns the derivative of a map for one entry with value x before and y after the map.
template <class T, Real S>
  requires DifferentiableMap<T, S> S derivative_at(const T& stage, S x, S y, Index p, Index j, const Grid& grid) {
    if constexpr (requires { stage.derivative(x, y, p, j, grid); })
      return stage.derivative(x, y, p, j, grid);
    else
      return stage.derivative(x, y);
  }

/// True if the derivative of a map is 1 everywhere.
template <class T>
inline constexpr bool derivative_is_one = requires {
  requires std::remove_cvref_t<T>::derivative_is_one;
};

/// A stage that drops entries and passes the gradients of the kept entries on unchanged.
template <class T>
concept PassesGradient = PatternStage<T> ||
    ((SelectorStage<T> || WholeMatrixStage<T>)&&requires { requires T::passes_gradient; });

/// A selector or normalizer with a backward() of its own.
template <class T, class S>
concept HasBackward = RowStage<T> && requires(const T& stage, const Row<S>& row, S* d) {
  stage.backward(row, row, d);
};

template <class T, class S>
concept DifferentiableStage = PassesGradient<std::remove_cvref_t<T>> || DifferentiableMap<std::remove_cvref_t<T>, S> ||
    HasBackward<std::remove_cvref_t<T>, S>;

/// Fails to compile, with one line that says why, if the stage has no derivative.
template <class T, Real S>
constexpr void require_derivative() {
  using Plain = std::remove_cvref_t<T>;
  static_assert(!MapStage<Plain> || DifferentiableStage<Plain, S>,
                "filigree: this map has no derivative: write map(f, df), or a member S derivative(S x, S y) const");
  static_assert(!SelectorStage<Plain> || DifferentiableStage<Plain, S>,
                "filigree: this selector does not say what its gradient is: write `static constexpr bool "
                "passes_gradient = true;` if it does not scale what it keeps, or a member backward(in, out, d)");
  static_assert(!NormalizerStage<Plain> || DifferentiableStage<Plain, S>,
                "filigree: this normalizer has no gradient: write a member void backward(const Row<S>& in, const "
                "Row<S>& out, S* d) const");
  static_assert(!WholeMatrixStage<Plain> || DifferentiableStage<Plain, S>,
                "filigree: this matrix stage does not say what its gradient is: write `static constexpr bool "
                "passes_gradient = true;` if it does not scale what it keeps");
}

/// Replaces d, the gradient with respect to the entries of `out`, by that with respect to the same entries before the
/// stage, whose values are those of `in`.
template <RowStage T, Real S>
void backward(const T& stage, const Row<S>& in, const Row<S>& out, S* d) {
  require_derivative<T, S>();
  if constexpr (HasBackward<T, S>) {
    stage.backward(in, out, d);
  } else if constexpr (DifferentiableMap<T, S>) {
    for (Index i = 0; i < out.count; ++i)
      if (!(d[i] == S(0)))  // the score of an entry that a later stage removes may be NaN, and so its derivative
        d[i] *= derivative_at(stage, in.values[i], out.values[i], out.position(), out.position_of(i), out.grid);
  }
}

/// A map or normalizer with parameters that can be trained.
template <class T>
concept ParameterStage = RowStage<T> && requires(const T& stage, const Grid& grid) {
  { stage.parameter_count(grid) } -> std::convertible_to<Index>;
};

/// True if the parameters of a stage belong to the pairs of queries and keys: parameter i * m + c to the pair (i, c).
template <class T>
inline constexpr bool has_pair_parameters = requires {
  requires std::remove_cvref_t<T>::parameters_are_pairs;
};

/// Calls add(index, value) for the gradients of the parameters of a stage. d is the gradient with respect to the
/// entries of `out`.
template <RowStage T, Real S, class Add>
void parameter_gradient(const T& stage, const Row<S>& in, const Row<S>& out, const S* d, const Add& add) {
  if constexpr (ParameterStage<T> && MapStage<T>) {
    for (Index i = 0; i < out.count; ++i)
      if (!(d[i] == S(0)))
        stage.parameter_gradient(in.values[i], out.values[i], out.position(), out.position_of(i), out.grid, d[i], add);
  } else if constexpr (ParameterStage<T>) {
    stage.parameter_gradient(in, out, d, add);
  }
}

}  // namespace filigree::detail
