// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Options of softmax(options).
struct softmax_options {
  /// Attention sink: exp(sink) is added to the denominator only; -inf for none.
  double sink = -std::numeric_limits<double>::infinity();
};

/// Normalizer for the softmax with an optional attention sink.
struct Softmax {
  using Category = Normalizer;
  double sink;

  template <Real S>
  void apply(Row<S>& row) const {
    const auto sums = kernel::kernels<S>().softmax(row.values, row.count, static_cast<S>(sink));
    row.maximum = sums.maximum;
    row.sum = sums.sum;
  }
  template <Real S>
  void check_scalar() const {
    if (sink > -std::numeric_limits<double>::infinity()) detail::require_finite<S>(sink, "softmax({.sink = b}): b");
  }
};

/// Turns the scores of a row into probabilities.
///
/// Formula    exp(s) / (Σ exp(s) + exp(sink))
/// Cost       O(entries), one exponential each
/// Edge case  an empty row stays empty; its logsumexp is the sink. NaN or +inf anywhere makes the row NaN; a weight
///            that underflows is 0 and stays present
/// Throws     Error if the sink is NaN or +inf
/// Reference  Vaswani et al., arXiv:1706.03762, equation 1; the sink: Xiao et al., arXiv:2309.17453, section 3.3
inline Softmax softmax(const softmax_options& options = {}) {
  detail::require(options.sink <= (std::numeric_limits<double>::max)(),
                  "softmax({.sink = b}): b must be finite, or -inf for none, got ", options.sink);
  return {.sink = options.sink};
}

}  // namespace filigree
