// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include "filigree/pipe/weights.hpp"

// What is likely to be written and does not mean anything: overloads that do not compile, with one line that says what
// to write.

namespace filigree {

namespace detail {

template <class T>
concept SparseOperand = std::derived_from<std::remove_cvref_t<T>, Eigen::SparseMatrixBase<std::remove_cvref_t<T>>>;

/// A list of numbers that is no Eigen expression: a std::vector, a std::array, a span.
template <class T>
concept ListOfNumbers = !DenseExpression<T> && !SparseOperand<T> && requires(std::remove_reference_t<T> & list) {
  { *list.data() } -> std::convertible_to<double>;
  { list.size() } -> std::convertible_to<std::size_t>;
};

template <class F>
concept StageFunction = std::is_function_v<std::remove_pointer_t<std::remove_reference_t<F>>>;

}  // namespace detail

/// Does not compile: weights have no order in which a dense matrix could be multiplied with them.
template <DenseExpression B, detail::WeightsExpression A>
void operator*(const B&, const A&) {
  static_assert(!sizeof(A),
                "filigree: B * A: weights stand on the left of what they are multiplied with: A * V. For "
                "B * A assign A to a matrix first");
}
/// Does not compile.
template <detail::WeightsExpression A, detail::SparseOperand V>
void operator*(const A&, const V&) {
  static_assert(!sizeof(A),
                "filigree: A * V: V must be dense; assign A to a SparseMatrix to multiply it with a sparse V");
}
/// Does not compile: rows of weights are normalized one by one, and a sum is not.
template <detail::WeightsExpression A, class B>
void operator+(const A&, const B&) {
  static_assert(!sizeof(A), "filigree: A + B: weights are lazy rows and are not added; assign them to matrices first");
}
/// Does not compile, for the same reason, whichever of the two comes first.
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

/// Does not compile.
template <detail::ListOfNumbers X, detail::Piped Next>
void operator|(X&&, Next&&) {
  static_assert(!sizeof(X),
                "filigree: x | stage: x must be an Eigen matrix or vector; for a std::vector<float> write "
                "Eigen::Map<const Eigen::VectorXf>(x.data(), x.size())");
}
/// Does not compile: a stage is what its function returns.
template <class X, detail::StageFunction F>
  requires(DenseExpression<X> || detail::WeightsExpression<X> || detail::Piped<X>)
void operator|(X&&, F&&) {
  static_assert(!sizeof(X), "filigree: x | stage: a stage is called with parentheses, such as softmax()");
}
/// Does not compile.
template <detail::SparseOperand X, detail::Piped Next>
void operator|(X&&, Next&&) {
  static_assert(!sizeof(X), "filigree: X | stage: X must be dense; of a sparse matrix given(X) makes a pattern");
}

}  // namespace filigree
