// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#include "filigree/core/concepts.hpp"

// How sources, stages and expressions hold the matrices and lists that they are made from.

namespace filigree {

namespace detail {

template <class T>
concept SparseExpression = std::derived_from<std::remove_cvref_t<T>, Eigen::SparseMatrixBase<std::remove_cvref_t<T>>>;

/// An Eigen expression whose entries are not in memory: a dense expression without direct access, or a sparse one
/// without arrays of indices.
template <class T>
concept ComputedExpression =
    (DenseExpression<T> && !DirectAccess<T>) ||
    (SparseExpression<T> &&
     !std::derived_from<std::remove_cvref_t<T>, Eigen::SparseCompressedBase<std::remove_cvref_t<T>>>);

template <class T>
concept Lvalue = std::is_lvalue_reference_v<T>;

template <class T>
struct OperandOf {
  using type = std::remove_cvref_t<T>;
};
template <Lvalue T>
struct OperandOf<T> {
  using type = const std::remove_cvref_t<T>&;
};
template <Lvalue T>
  requires requires { typename std::remove_cvref_t<T>::Nested; }  // Eigen expressions
struct OperandOf<T> {
  using type = typename std::remove_cvref_t<T>::Nested;
};
template <class T, std::size_t extent>
struct OperandOf<std::span<T, extent>&> {
  using type = std::span<T, extent>;
};
template <class T, std::size_t extent>
struct OperandOf<const std::span<T, extent>&> {
  using type = std::span<T, extent>;
};

template <class T>
struct StoredOperandOf : OperandOf<T> {};
template <ComputedExpression T>
struct StoredOperandOf<T> {
  using type = typename std::remove_cvref_t<T>::PlainObject;
};

}  // namespace detail

/// The type in which an operand of type T&& is held: a reference to an lvalue, or the value of an rvalue. An lvalue
/// that refers to memory itself, such as a block, a map or a span, is held by value.
template <class T>
using Operand = typename detail::OperandOf<T>::type;

/// The type in which an operand of type T&& is held if its entries are read one by one: as Operand, or as a matrix if
/// it is an expression whose entries are not in memory. To read one entry of a product would compute the product.
template <class T>
using StoredOperand = typename detail::StoredOperandOf<T>::type;

}  // namespace filigree
