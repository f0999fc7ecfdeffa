// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/engine/softmax_state.hpp"
#include "filigree/normalize/softmax.hpp"

namespace filigree::detail {

/// Normalizes the states of the rows from `first` on, multiplies the outputs by `scale` and passes them to the sink of
/// a product.
template <Real S, class Sink>
void finish_rows(Index first, Index rows, const SoftmaxState<S>& states, const Softmax& softmax, Sink&& sink,
                 S scale = S(1)) {
  for (Index r = 0; r < rows; ++r) {
    const SoftmaxState<S> row = states.from(r);
    const kernel::LogSumExp<S> sums = row.normalize(static_cast<S>(softmax.sink), scale);
    sink.take(first + r, row.out, sums);
  }
}

}  // namespace filigree::detail
