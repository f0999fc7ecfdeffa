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

/// A dense expression whose entries are in memory, at fixed distances.
template <class T>
concept DirectAccess = DenseExpression<T> && bool(std::remove_cvref_t<T>::Flags& Eigen::DirectAccessBit);

template <class T, class... Used>
struct LaterOf {
  using type = T;
};
/// T itself, as a type that depends on the parameters `Used`. Expressions of it in a template are compiled only when
/// the template is instantiated, and not in every program that includes the header.
template <class T, class... Used>
using Dependent = typename LaterOf<T, Used...>::type;

}  // namespace detail
}  // namespace filigree
