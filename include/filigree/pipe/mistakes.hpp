// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "filigree/core/operand.hpp"
#include "filigree/pipe/weights.hpp"

// Overloads for likely mistakes. None of them compiles; each message says what to write instead.

namespace filigree {

namespace detail {

/// A range of numbers that is not an Eigen expression, such as a std::vector, a std::array or a std::span.
template <class T>
concept ListOfNumbers = !DenseExpression<T> && !SparseExpression<T> && requires(std::remove_reference_t<T> & list) {
  { *list.data() } -> std::convertible_to<double>;
  { list.size() } -> std::convertible_to<std::size_t>;
};

template <class F>
concept StageFunction = std::is_function_v<std::remove_pointer_t<std::remove_reference_t<F>>>;

}  // namespace detail

/// Does not compile: a product with weights on the right is not supported.
template <DenseExpression B, detail::WeightsExpression A>
void operator*(const B&, const A&) {
  static_assert(!sizeof(A),
                "filigree: B * A: weights must be the left operand of a product: A * V. For B * A assign A to a "
                "matrix first");
}
/// Does not compile: V must be dense.
template <detail::WeightsExpression A, detail::SparseExpression V>
void operator*(const A&, const V&) {
  static_assert(!sizeof(A),
                "filigree: A * V: V must be dense; assign A to a SparseMatrix to multiply it with a sparse V");
}
/// Does not compile: each row of weights is normalized on its own, and a sum of weights would not be.
template <detail::WeightsExpression A, class B>
void operator+(const A&, const B&) {
  static_assert(!sizeof(A), "filigree: A + B: weights are lazy rows and are not added; assign them to matrices first");
}
/// Does not compile, for the same reason.
template <DenseExpression B, detail::WeightsExpression A>
void operator+(const B&, const A&) {
  static_assert(!sizeof(A), "filigree: B + A: weights are lazy rows and are not added; assign them to matrices first");
}
/// Does not compile, for the same reason.
template <DenseExpression B, detail::WeightsExpression A>
void operator-(const B&, const A&) {
  static_assert(!sizeof(A),
                "filigree: B - A: weights are lazy rows and are not subtracted; assign them to matrices first");
}
/// Does not compile, for the same reason.
template <detail::WeightsExpression A, class B>
void operator-(const A&, const B&) {
  static_assert(!sizeof(A),
                "filigree: A - B: weights are lazy rows and are not subtracted; assign them to matrices first");
}

/// Does not compile: x must be an Eigen expression.
template <detail::ListOfNumbers X, detail::Piped Next>
void operator|(X&&, Next&&) {
  static_assert(!sizeof(X),
                "filigree: x | stage: x must be an Eigen matrix or vector; for a std::vector<float> write "
                "Eigen::Map<const Eigen::VectorXf>(x.data(), x.size())");
}
/// Does not compile: the function itself is not a stage, its result is.
template <class X, detail::StageFunction F>
  requires(DenseExpression<X> || detail::WeightsExpression<X> || detail::Piped<X>)
void operator|(X&&, F&&) {
  static_assert(!sizeof(X), "filigree: x | stage: call the function of the stage with parentheses, such as softmax()");
}
/// Does not compile: X must be dense.
template <detail::SparseExpression X, detail::Piped Next>
void operator|(X&&, Next&&) {
  static_assert(!sizeof(X), "filigree: X | stage: X must be dense; for a pattern from a sparse matrix write given(X)");
}

}  // namespace filigree
