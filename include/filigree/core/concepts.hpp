// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <concepts>
#include <type_traits>

#include "filigree/core/requirements.hpp"

namespace filigree {

using Eigen::Index;

/// The scalars that everything is computed in.
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double>;

/// The scalars that a matrix may be stored in where S is computed in: S itself, or 16 bits, which become S exactly.
template <class T, class S>
concept StoredReal = Real<S> &&(std::same_as<T, S> || std::same_as<T, Eigen::half> || std::same_as<T, Eigen::bfloat16>);

namespace detail {

template <class D>
void takes_dense(const Eigen::MatrixBase<D>&);
template <class D>
void takes_dense(const Eigen::ArrayBase<D>&);

}  // namespace detail

/// A dense Eigen expression, matrix or array, of any layout.
template <class T>
concept DenseExpression = requires(const std::remove_cvref_t<T>& x) {
  detail::takes_dense(x);
};

namespace detail {

template <class T, class... Used>
struct LaterOf {
  using type = T;
};
/// T itself, as a type that depends on the others: a template compiles expressions of it only when it is instantiated,
/// not in every program that includes it.
template <class T, class... Used>
using Later = typename LaterOf<T, Used...>::type;

/// How an expression holds what it was given: an lvalue by reference (as Eigen nests it), anything else by value.
template <class T>
struct OperandOf {
  using type = std::remove_cvref_t<T>;
};
template <class T>
  requires std::is_lvalue_reference_v<T> && requires { typename std::remove_cvref_t<T>::Nested; }
struct OperandOf<T> {
  using type = typename std::remove_cvref_t<T>::Nested;
};
template <class T>
  requires std::is_lvalue_reference_v<T> &&
      (!requires { typename std::remove_cvref_t<T>::Nested; }) struct OperandOf<T> {
    using type = const std::remove_cvref_t<T>&;
  };

}  // namespace detail

/// How an expression holds an operand of type T&&: a reference to an lvalue, the value itself of anything else.
template <class T>
using Operand = typename detail::OperandOf<T>::type;

}  // namespace filigree
