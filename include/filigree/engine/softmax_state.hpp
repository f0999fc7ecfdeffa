// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/normalize/softmax.hpp"

// Softmax times V over a subset of the keys, as sums that are merged before they are divided.

namespace filigree::detail {

/// Returns how many numbers the sums of `rows` rows with dv outputs each need. dv is a multiple of lanes.
template <Real S>
Index state_size(Index rows, Index dv) {
  return rows * (kernel::kernels<S>().lanes + dv + 1);
}
/// Divides memory of state_size() numbers into sums, without initializing them.
template <Real S>
kernel::SoftmaxState<S> state_in(S* memory, Index rows, Index dv) {
  const Index lanes = kernel::kernels<S>().lanes;
  S* sum = memory;
  S* out = sum + rows * lanes;
  return {.out = out, .stride = dv, .maximum = out + rows * dv, .sum = sum};
}

/// Sets the sums to those over an empty set of keys.
template <Real S>
void clear(const kernel::SoftmaxState<S>& sums, Index rows) {
  std::fill_n(sums.out, rows * sums.stride, S(0));
  std::fill_n(sums.maximum, rows, -std::numeric_limits<S>::infinity());
  std::fill_n(sums.sum, rows * kernel::kernels<S>().lanes, S(0));
}

/// Prefetches the sums of a row.
template <Real S>
void prefetch(const kernel::SoftmaxState<S>& row) {
  constexpr auto line = static_cast<Index>(Buffer::alignment / sizeof(S));
  for (Index f = 0; f < row.stride; f += line) __builtin_prefetch(row.out + f, 1);
  for (Index l = 0; l < kernel::kernels<S>().lanes; l += line) __builtin_prefetch(row.sum + l, 1);
  __builtin_prefetch(row.maximum, 1);
}

/// Divides the sums of the rows from `first` on by their totals and passes the results to the sink of a product.
template <Real S, class Sink>
void finish_rows(Index first, Index rows, const kernel::SoftmaxState<S>& sums, const Softmax& softmax, Sink&& sink) {
  const auto& kernels = kernel::kernels<S>();
  for (Index r = 0; r < rows; ++r) {
    const kernel::SoftmaxState<S> row = sums.from(r, kernels.lanes);
    const kernel::LogSumExp<S> total = kernels.finish_row(row, sums.stride, static_cast<S>(softmax.sink));
    sink.take(first + r, row.out, total);
  }
}

}  // namespace filigree::detail
