// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "filigree/core/lazy.hpp"
#include "filigree/kernel/kernels.hpp"

// Matrices stored as half or bfloat16 and converted to float or double for computation.

namespace filigree::detail {

/// True if a kernel must convert the rows of R, which are stored in memory, to the scalar S.
template <class R, class S>
inline constexpr bool is_widened = R::direct && !std::is_same_v<typename R::Scalar, S>;

/// Converts entries [first, first + count) of row i of a matrix whose rows are contiguous.
template <class R, Real S>
void widen_row(const R& x, Index i, Index first, Index count, S* to) {
  static_assert(is_widened<R, S>);
  const auto& kernels = kernel::kernels<S>();
  constexpr bool half = std::is_same_v<typename R::Scalar, Eigen::half>;
  (half ? kernels.widen_half : kernels.widen_bfloat)(x.data() + i * x.row_stride() + first, count, to);
}

/// Copies row i of any reader, converted to S.
template <class R, Real S>
void read_row(const R& x, Index i, S* to) {
  if constexpr (is_widened<R, S>) {
    if (x.contiguous_rows()) return widen_row(x, i, 0, x.cols(), to);
  }
  x.copy_row(i, to);
}

}  // namespace filigree::detail
