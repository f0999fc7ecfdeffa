// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
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
  // Copies the present entries to a list if others are absent, so that the sum has the order that it has for lists.
  template <Real S>
  void apply_dense(DenseRow<S>& row) const {
    const auto& kernels = kernel::kernels<S>();
    S* values = row.values;
    Column* columns = nullptr;
    Index count = row.size();
    if (kernels.any_absent(values, count)) {
      values = row.scratch.values.template get<S>(count + DenseRow<S>::padding);
      columns = row.scratch.columns.template get<Column>(count + DenseRow<S>::padding);
      count = kernels.copy_above(row.values, count, DenseRow<S>::absent, values, columns);
    }
    const auto sums = kernels.softmax(values, count, static_cast<S>(sink));
    row.maximum = sums.maximum;
    row.sum = sums.sum;
    for (Index e = 0; columns != nullptr && e < count; ++e) row.values[columns[e]] = values[e];
  }
  /// Formula    w (d − Σ w d)
  template <Real S>
  void backward(const Row<S>&, const Row<S>& out, S* d) const {
    const double mean = dot(out, d);
    for (Index i = 0; i < out.count; ++i)
      d[i] = static_cast<S>(static_cast<double>(out.values[i]) * (static_cast<double>(d[i]) - mean));
  }
  Index parameter_count(const Grid&) const { return sink > -std::numeric_limits<double>::infinity() ? 1 : 0; }
  /// The gradient by the sink: −w_b Σ w d, where w_b is the weight of the sink.
  template <Real S, class Add>
  void parameter_gradient(const Row<S>&, const Row<S>& out, const S* d, const Add& add) const {
    if (parameter_count(out.grid) == 0 || out.count == 0) return;
    add(0, static_cast<S>(-sink_weight(out) * dot(out, d)));
  }
  template <Real S>
  void check_scalar() const {
    if (sink > -std::numeric_limits<double>::infinity()) detail::require_finite<S>(sink, "softmax({.sink = b}): b");
  }

  // Adds the gradient by the logsumexp of the row, d_lse: w d_lse to that by the scores, and w_b d_lse to that by the
  // sink.
  template <Real S, class Add>
  void backward_logsumexp(const Row<S>& out, S d_lse, S* d, const Add& add) const {
    for (Index i = 0; i < out.count; ++i) d[i] += out.values[i] * d_lse;
    if (parameter_count(out.grid) > 0) add(0, static_cast<S>(sink_weight(out) * static_cast<double>(d_lse)));
  }

 private:
  /// Returns the weight of the sink, which is 1 in an empty row.
  template <Real S>
  [[nodiscard]] double sink_weight(const Row<S>& out) const {
    if (out.count == 0) return 1;
    return std::exp(sink - static_cast<double>(out.maximum)) / static_cast<double>(out.sum);
  }
  /// Returns Σ w d. In double, because the products cancel in the backward pass.
  template <Real S>
  static double dot(const Row<S>& out, const S* d) {
    double sum = 0;
    for (Index i = 0; i < out.count; ++i) sum += static_cast<double>(out.values[i]) * static_cast<double>(d[i]);
    return sum;
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
