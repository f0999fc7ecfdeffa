// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/engine/row_gradients.hpp"
#include "filigree/engine/values.hpp"
#include "filigree/run/sinks.hpp"

// Sinks of products that keep what the backward pass of softmax needs of each row.

namespace filigree::detail {

/// What the backward pass needs of each row of softmax. A sink of products, which keeps no outputs.
template <Real S>
struct SoftmaxStatistics {
  const ProductGradient<S>& gradient;
  S *maximum, *inverse, *mean;  // row `gradient.first` is the first one

  void reserve(ScratchFrame& frame) const { frame.take<S>(gradient.v.padded); }
  [[nodiscard]] const ValueRows<S>& values() const { return gradient.v; }
  void take(Index index, const S* out, const kernel::LogSumExp<S>& sums) const {
    const Index i = index - gradient.first;
    set_mean(index, out);
    maximum[i] = sums.maximum == -std::numeric_limits<S>::infinity() ? S(0) : sums.maximum;
    inverse[i] = sums.sum == S(0) ? S(0) : 1 / sums.sum;
  }
  /// Sets the mean of a row from its output: <dO, O> - dlse.
  void set_mean(Index index, const S* out) const {
    const Index i = index - gradient.first;
    const S* const d = gradient.d_out.data + i * gradient.d_out.stride;
    double sums[4] = {};  // four chains of additions, because one would wait for each addition
    const Index dv = gradient.v.dv, whole = dv / 4 * 4;
    const auto product = [&](Index f) { return static_cast<double>(d[f]) * static_cast<double>(out[f]); };
    for (Index f = 0; f < whole; f += 4)
      for (Index c = 0; c < 4; ++c) sums[c] += product(f + c);
    for (Index f = whole; f < dv; ++f) sums[f - whole] += product(f);
    mean[i] = static_cast<S>(sums[0] + sums[1] + sums[2] + sums[3] - static_cast<double>(gradient.lse_gradient(index)));
  }
  // For engines that may compute rows of weights.
  void operator()(const Row<S>& row, WorkerScratch& scratch) const {
    ScratchFrame frame(scratch);
    S* const out = frame.take<S>(gradient.v.padded);
    gradient.v.gather(out, row.values, row.columns, row.count, scratch);
    take(row.index, out, {row.maximum, row.sum});
  }
};

/// A sink of products that also keeps the maximum and the inverse of the sum of each row of softmax.
template <Real S>
struct SavingSink {
  const ProductSink<S>& product;
  S *maximum, *inverse;  // of row product.first and the following ones

  void reserve(ScratchFrame& frame) const { product.reserve(frame); }
  [[nodiscard]] const ValueRows<S>& values() const { return product.values(); }
  void take(Index index, const S* out, const kernel::LogSumExp<S>& sums) const {
    product.take(index, out, sums);
    keep(index, sums);
  }
  void operator()(const Row<S>& row, WorkerScratch& scratch) const {
    product(row, scratch);
    keep(row.index, {row.maximum, row.sum});
  }

 private:
  void keep(Index index, const kernel::LogSumExp<S>& sums) const {
    const Index i = index - product.first;
    maximum[i] = sums.maximum == -std::numeric_limits<S>::infinity() ? S(0) : sums.maximum;
    inverse[i] = sums.sum == S(0) ? S(0) : 1 / sums.sum;
  }
};

}  // namespace filigree::detail
