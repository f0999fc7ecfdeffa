// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <concepts>
#include <type_traits>

#include "filigree/core/requirements.hpp"

namespace filigree {

using Eigen::Index;

/// A scalar type of computations: float or double.
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double>;

namespace detail {

template <class T, class... Types>
concept AnyOf = (std::same_as<T, Types> || ...);

}  // namespace detail

/// A scalar type in which a matrix may be stored when S is the scalar type of the computation: S itself, or a type of
/// 16 bits, which converts to S exactly.
template <class T, class S>
concept StoredReal = Real<S> && detail::AnyOf<T, S, Eigen::half, Eigen::bfloat16>;

namespace detail {

template <class D>
void takes_dense(const Eigen::MatrixBase<D>&);
template <class D>
void takes_dense(const Eigen::ArrayBase<D>&);

}  // namespace detail

/// A dense Eigen expression: a matrix or an array, in any layout.
template <class T>
concept DenseExpression = requires(const std::remove_cvref_t<T>& x) {
  detail::takes_dense(x);
};

namespace detail {

template <class T, class... Used>
struct LaterOf {
  using type = T;
};
/// T itself, as a type that depends on the parameters `Used`. Expressions of it in a template are compiled only when
/// the template is instantiated, and not in every program that includes the header.
template <class T, class... Used>
using Dependent = typename LaterOf<T, Used...>::type;

template <class T>
concept Lvalue = std::is_lvalue_reference_v<T>;
template <class T>
concept EigenLvalue = Lvalue<T> && requires {
  typename std::remove_cvref_t<T>::Nested;
};

/// The implementation of Operand: Eigen lvalues are stored as Eigen nests them.
template <class T>
struct OperandOf {
  using type = std::remove_cvref_t<T>;
};
template <Lvalue T>
struct OperandOf<T> {
  using type = const std::remove_cvref_t<T>&;
};
template <EigenLvalue T>
struct OperandOf<T> {
  using type = typename std::remove_cvref_t<T>::Nested;
};

}  // namespace detail

/// The type in which an expression stores an operand of type T&&: a reference to an lvalue, or a copy of an rvalue.
template <class T>
using Operand = typename detail::OperandOf<T>::type;

}  // namespace filigree
