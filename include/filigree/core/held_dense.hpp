// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// How a map holds the numbers it was given: what lies in memory as an Operand, any other expression as its value,
/// since reading single coefficients of a product would evaluate all of it each time.
template <class T>
struct HeldDenseOf {
  using type = typename std::remove_cvref_t<T>::PlainObject;
};
template <class T>
  requires(bool(std::remove_cvref_t<T>::Flags& Eigen::DirectAccessBit))
struct HeldDenseOf<T> {
  using type = Operand<T>;
};

template <DenseExpression T>
using HeldDense = typename HeldDenseOf<T>::type;

}  // namespace filigree::detail
