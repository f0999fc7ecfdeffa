// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/kernel/kernels.hpp"

// Softmax times V over some of the keys: sums that are merged before they are divided.

namespace filigree::detail {

/// Sums of some rows of dv outputs, a multiple of lanes, in this memory; not initialised.
template <Real S>
kernel::Sums<S> sums_in(Buffer& memory, Index rows, Index dv) {
  const Index lanes = kernel::kernels<S>().lanes;
  S* sum = memory.get<S>(rows * (lanes + dv + 1));
  S* out = sum + rows * lanes;
  return {.out = out, .stride = dv, .maximum = out + rows * dv, .sum = sum};
}

/// Makes them the sums over no keys.
template <Real S>
void clear(const kernel::Sums<S>& sums, Index rows) {
  std::fill_n(sums.out, rows * sums.stride, S(0));
  std::fill_n(sums.maximum, rows, -std::numeric_limits<S>::infinity());
  std::fill_n(sums.sum, rows * kernel::kernels<S>().lanes, S(0));
}

}  // namespace filigree::detail
