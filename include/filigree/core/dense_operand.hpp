// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// The type in which a score map stores a dense operand: an Operand if the expression has direct access, and otherwise
/// its evaluated value, since reading one coefficient of a product would evaluate the whole product.
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
using DenseOperand = typename HeldDenseOf<T>::type;

}  // namespace filigree::detail
