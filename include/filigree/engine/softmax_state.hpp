// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/kernel/kernels.hpp"

// Softmax times V over a subset of the keys. Chunks of keys, parts of a pattern and calls of attend() are merged by the
// functions of this header.

namespace filigree::detail {

/// Returns the logsumexp of scores with this maximum and this sum of exp(score - maximum).
template <Real S>
S logsumexp(const kernel::LogSumExp<S>& sums) {
  return sums.sum == S(0) ? sums.maximum : sums.maximum + std::log(sums.sum);
}

/// Keys are processed in fixed chunks that are merged in ascending order. Results therefore do not depend on the number
/// of threads or on the other rows.
struct SoftmaxChunk {
  static constexpr Index keys = 512;
  static constexpr Index stride = keys + 16;  // of a tile of scores, so that its rows begin in different cache sets
};

/// The states of some rows: out = sum of w V and sum = sum of w, with w = exp(score - maximum). States over disjoint
/// keys are merged before they are normalized. The memory belongs to the caller.
template <Real S>
struct SoftmaxState : kernel::SoftmaxState<S> {
  SoftmaxState() = default;
  SoftmaxState(const kernel::SoftmaxState<S>& state) : kernel::SoftmaxState<S>(state) {}
  /// Divides memory of size(rows, dv) numbers into states, without initializing them. dv is a multiple of lanes.
  SoftmaxState(S* memory, Index rows, Index dv)
      : kernel::SoftmaxState<S>{memory + rows * lanes(), dv, memory + rows * (lanes() + dv), memory} {}

  static Index size(Index rows, Index dv) { return rows * (lanes() + dv + 1); }

  /// Returns the states of the rows from `row` on.
  [[nodiscard]] SoftmaxState from(Index row) const { return kernel::SoftmaxState<S>::from(row, lanes()); }

  /// Sets the states to those over an empty set of keys.
  void clear(Index rows) const {
    std::fill_n(this->out, rows * this->stride, S(0));
    std::fill_n(this->maximum, rows, -std::numeric_limits<S>::infinity());
    std::fill_n(this->sum, rows * lanes(), S(0));
  }
  /// Adds states over other keys.
  void merge(const SoftmaxState& other, Index rows) const {
    kernel::kernels<S>().merge(*this, other, rows, this->stride);
  }
  /// Divides the output of the first row by its sum, to which exp(sink) is added, and multiplies it by `scale`.
  kernel::LogSumExp<S> normalize(S sink, S scale) const {
    return kernel::kernels<S>().finish_row(*this, this->stride, sink, scale);
  }
  /// Prefetches the state of the first row.
  void prefetch() const {
    constexpr auto line = static_cast<Index>(Buffer::alignment / sizeof(S));
    for (Index f = 0; f < this->stride; f += line) __builtin_prefetch(this->out + f, 1);
    for (Index l = 0; l < lanes(); l += line) __builtin_prefetch(this->sum + l, 1);
    __builtin_prefetch(this->maximum, 1);
  }

 private:
  static Index lanes() { return kernel::kernels<S>().lanes; }
};

/// Merges normalized outputs of a row over disjoint keys, [dv] each, into `out` and `lse`.
template <Real S>
void merge_normalized(S* out, S& lse, const S* other, S other_lse, Index dv) {
  constexpr S none = -std::numeric_limits<S>::infinity();
  if (other_lse == none) return;
  if (lse == none) {
    std::copy_n(other, dv, out);
    lse = other_lse;
    return;
  }
  const S max = (std::max)(lse, other_lse);
  const S a = std::exp(lse - max), b = std::exp(other_lse - max), sum = a + b;
  using Row = Eigen::Array<S, 1, Eigen::Dynamic>;
  Eigen::Map<Row> row(out, dv);
  row = row * (a / sum) + Eigen::Map<const Row>(other, dv) * (b / sum);
  lse = max + std::log(sum);
}

}  // namespace filigree::detail
