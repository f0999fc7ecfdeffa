// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include "filigree/core/generator.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {

enum class Pooling { mean, first, max };

template <Real S>
class PoolState;

}  // namespace detail

/// A layer that replaces the tokens of each sequence by one row.
struct Pool {
  using Category = Layer;
  template <Real S>
  using State = detail::PoolState<S>;
  static constexpr bool reads_sequences = true;
  static constexpr bool pools_sequences = true;
  detail::Pooling pooling;

  [[nodiscard]] Index outputs(Index width) const { return width; }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S>
  void initialize(S*, Generator&) const {}
  // Describes the layer in a checkpoint.
  [[nodiscard]] std::string text() const {
    return pooling == detail::Pooling::mean    ? "pool_mean"
           : pooling == detail::Pooling::first ? "pool_first"
                                               : "pool_max";
  }
};

/// Replaces the tokens of each sequence by their mean. Layers after it get one row for each sequence.
///
/// Targets then have one row for each sequence, too. Without a Batch, all samples are one sequence.
/// Formula  y_s = Σ x_i / n_s over the n_s tokens i of sequence s
/// Shapes   x: N x d, result: number of sequences x d
/// Cost     O(N d); sums in double
/// Throws   Error in network(...), if it is part of sum(), residual(), multiply() or repeat(); in a pass, if a layer
///          after it reads sequences
inline Pool pool_mean() { return {detail::Pooling::mean}; }
/// Replaces the tokens of each sequence by the first one, such as the token [CLS] of BERT.
///
/// Formula    y_s = x_i, with i the first token of sequence s
/// Shapes     x: N x d, result: number of sequences x d
/// Cost       O(number of sequences · d); the backward pass O(N d)
/// Throws     Error as pool_mean()
/// Reference  Devlin et al., arXiv:1810.04805, section 3
inline Pool pool_first() { return {detail::Pooling::first}; }
/// Replaces the tokens of each sequence by the maximum of each column.
///
/// Formula    y_sj = max x_ij over the tokens i of sequence s
/// Shapes     x: N x d, result: number of sequences x d
/// Cost       O(N d)
/// Edge case  the gradient goes to the first token that has the maximum; NaN counts as the maximum
/// Throws     Error as pool_mean()
/// Reference  Formal et al., arXiv:2109.10086, equation 6
inline Pool pool_max() { return {detail::Pooling::max}; }

namespace detail {

template <Real S>
class PoolState {
 public:
  void forward(const Pool& layer, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Index cols = x.cols(), count = context.sequence_count();
    Index* begins = begins_.get<Index>(count + 1);
    Index* next = begins;
    context.for_each_sequence([&](Index first, Index) { *next++ = first; });
    begins[count] = x.rows();
    S* const y = context.out.set_dense(count, cols);
    Index* const tokens =
        layer.pooling == Pooling::max ? tokens_.get<Index>((std::max)(count * cols, Index{1})) : nullptr;
    context.session.run(count, [&](Index s, Index worker) {
      const Index first = begins[s], last = begins[s + 1];
      S* const to = y + s * cols;
      if (first == last)
        std::fill_n(to, cols, S(0));
      else if (layer.pooling == Pooling::first)
        std::copy_n(x.data() + first * cols, cols, to);
      else if (layer.pooling == Pooling::max)
        choose_max(x, first, last, to, tokens + s * cols);
      else
        average(x, first, last, to, context.session.scratch(worker));
    });
  }

  Gradient<S> backward(const Pool& layer, Context<S>& context) {
    if (!context.needs_input_gradient) return {};
    const Index cols = context.in.cols, count = context.out.n;
    const S* const dy = context.output_gradient().data();
    const Index* const begins = begins_.get<Index>(0);
    S* const dx = gradients_.get<S>((std::max)(context.in.n * cols, Index{1}));
    context.session.run(count, [&](Index s, Index) {
      const Index first = begins[s], last = begins[s + 1];
      const S* const d = dy + s * cols;
      if (layer.pooling == Pooling::mean) {
        const S divisor = static_cast<S>(last - first);
        for (Index i = first; i < last; ++i)
          for (Index j = 0; j < cols; ++j) dx[i * cols + j] = d[j] / divisor;
        return;
      }
      std::fill(dx + first * cols, dx + last * cols, S(0));
      if (first == last) return;
      const Index* const tokens = layer.pooling == Pooling::max ? tokens_.get<Index>(0) + s * cols : nullptr;
      for (Index j = 0; j < cols; ++j) dx[(tokens != nullptr ? tokens[j] : first) * cols + j] = d[j];
    });
    return {.dense = dx};
  }

 private:
  static void average(const ConstRows<S>& x, Index first, Index last, S* to, WorkerScratch& scratch) {
    const Index cols = x.cols();
    ScratchFrame frame(scratch);
    double* const sums = frame.take<double>(cols);
    std::fill_n(sums, cols, 0.0);
    for (Index i = first; i < last; ++i)
      for (Index j = 0; j < cols; ++j) sums[j] += static_cast<double>(x.data()[i * cols + j]);
    for (Index j = 0; j < cols; ++j) to[j] = static_cast<S>(sums[j] / static_cast<double>(last - first));
  }
  static void choose_max(const ConstRows<S>& x, Index first, Index last, S* to, Index* tokens) {
    const Index cols = x.cols();
    std::copy_n(x.data() + first * cols, cols, to);
    std::fill_n(tokens, cols, first);
    for (Index i = first + 1; i < last; ++i)
      for (Index j = 0; j < cols; ++j) {
        const S value = x.data()[i * cols + j];
        if (value > to[j] || (value != value && to[j] == to[j])) {
          to[j] = value;
          tokens[j] = i;
        }
      }
  }

  Buffer begins_, tokens_, gradients_;
};

}  // namespace detail
}  // namespace filigree
