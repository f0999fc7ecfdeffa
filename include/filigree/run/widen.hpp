// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <type_traits>

#include "filigree/core/lazy.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/kernel/stored_kernels.hpp"

// Matrices stored as half or bfloat16 and converted to float or double for computation.

namespace filigree::detail {

using kernel::Storage;
using kernel::StoredNumbers;

template <class T>
inline constexpr Storage storage_of = std::is_same_v<T, Eigen::half>       ? Storage::half
                                      : std::is_same_v<T, Eigen::bfloat16> ? Storage::bfloat16
                                                                           : Storage::scalar;

/// Converts numbers that are stored in 16 bits.
template <Real S>
void widen(const StoredNumbers<S>& from, Index count, S* to) {
  (from.storage == Storage::half ? from.kernels->widen_half : from.kernels->widen_bfloat)(from.data, count, to);
}

/// Rounds numbers to half or bfloat16.
template <Real S, class T>
void narrow(const S* from, Index count, T* to) {
  static_assert(sizeof(T) == sizeof(std::uint16_t));
  const auto& kernels = kernel::kernels<S>();
  (storage_of<T> == Storage::half ? kernels.narrow_half : kernels.narrow_bfloat)(from, count,
                                                                                 reinterpret_cast<std::uint16_t*>(to));
}

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
