// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/core/generator.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {

enum class Pooling { mean, first, max, sum };

template <Real S, Pooling pooling>
class PoolState;

/// Returns the lengths of sequences as a layer stores them, after a check.
inline std::shared_ptr<const std::vector<Index>> shared_lengths(std::vector<Index> lengths, const char* call) {
  require(!lengths.empty(), call, ": lengths must have at least one sequence");
  for (std::size_t s = 0; s < lengths.size(); ++s)
    require(lengths[s] >= 1, call, ": lengths[", s, "] must be at least 1, got ", lengths[s]);
  return std::make_shared<const std::vector<Index>>(std::move(lengths));
}

}  // namespace detail

/// A layer that replaces the tokens of each sequence by one row.
template <detail::Pooling pooling>
struct Pool {
  using Category = Layer;
  template <Real S>
  using State = detail::PoolState<S, pooling>;
  static constexpr bool reads_sequences = true;
  static constexpr bool pools_sequences = true;
  std::shared_ptr<const std::vector<Index>> lengths = nullptr;  // null: those of the Batch

  [[nodiscard]] Index outputs(Index width) const { return width; }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S>
  void initialize(S*, Generator&) const {}
  // Returns the number of its output rows, given that of the sequences of the Batch.
  [[nodiscard]] Index sequence_count(Index of_batch) const {
    return lengths != nullptr ? static_cast<Index>(lengths->size()) : of_batch;
  }
  // Describes the layer in a checkpoint.
  [[nodiscard]] std::string text() const {
    std::string all = pooling == detail::Pooling::mean    ? "pool_mean"
                      : pooling == detail::Pooling::first ? "pool_first"
                      : pooling == detail::Pooling::max   ? "pool_max"
                                                          : "pool_sum";
    if (lengths != nullptr) all += "(" + std::to_string(lengths->size()) + " lengths)";
    return all;
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
inline Pool<detail::Pooling::mean> pool_mean() { return {}; }
/// Replaces the tokens of each sequence by the first one, such as the token [CLS] of BERT.
///
/// Formula    y_s = x_i, with i the first token of sequence s
/// Shapes     x: N x d, result: number of sequences x d
/// Cost       O(number of sequences · d); the backward pass O(N d)
/// Throws     Error as pool_mean()
/// Reference  Devlin et al., arXiv:1810.04805, section 3
inline Pool<detail::Pooling::first> pool_first() { return {}; }
/// Replaces the tokens of each sequence by the maximum of each column.
///
/// Formula    y_sj = max x_ij over the tokens i of sequence s
/// Shapes     x: N x d, result: number of sequences x d
/// Cost       O(N d)
/// Edge case  the gradient goes to the first token that has the maximum; NaN counts as the maximum
/// Throws     Error as pool_mean()
/// Reference  Formal et al., arXiv:2109.10086, equation 6
inline Pool<detail::Pooling::max> pool_max() { return {}; }
/// Replaces the tokens of sequences of given lengths by the maximum of each column: x | pool_max({3, 2}).
///
/// It is also a layer of networks. The given lengths replace those of a Batch.
/// Shapes   x: N x d, result: number of lengths x d
/// Throws   Error if there is no length, or a length is below 1; when applied, if the lengths do not sum to N
inline Pool<detail::Pooling::max> pool_max(std::vector<Index> lengths) {
  return {.lengths = detail::shared_lengths(std::move(lengths), "pool_max(lengths)")};
}
/// Replaces the tokens of each sequence by their sum.
///
/// Formula    y_s = Σ x_i over the tokens i of sequence s
/// Shapes     x: N x d, result: number of sequences x d
/// Cost       O(N d); sums in double
/// Throws     Error as pool_mean()
/// Reference  Formal et al., arXiv:2107.05720, equation 1
inline Pool<detail::Pooling::sum> pool_sum() { return {}; }
/// Replaces the tokens of sequences of given lengths by their sum: x | pool_sum({3, 2}).
///
/// It is also a layer of networks. The given lengths replace those of a Batch.
/// Shapes   x: N x d, result: number of lengths x d
/// Throws   Error as pool_max(lengths)
inline Pool<detail::Pooling::sum> pool_sum(std::vector<Index> lengths) {
  return {.lengths = detail::shared_lengths(std::move(lengths), "pool_sum(lengths)")};
}

namespace detail {

/// Calls f(first, last) for the rows of each sequence that a pooling layer pools.
template <Real S, Pooling pooling, class F>
void for_each_pooled(const Pool<pooling>& layer, const Context<S>& context, F&& f) {
  if (layer.lengths == nullptr) return context.for_each_sequence(f);
  const Index sum = std::accumulate(layer.lengths->begin(), layer.lengths->end(), Index{0});
  require(sum == context.in.n, pooling == Pooling::max ? "pool_max" : "pool_sum", "(lengths): the lengths sum to ", sum,
          ", they must sum to the ", context.in.n, " rows");
  Index first = 0;
  for (const Index length : *layer.lengths) {
    f(first, first + length);
    first += length;
  }
}

template <Real S, Pooling pooling>
class PoolState {
 public:
  void forward(const Pool<pooling>& layer, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Index cols = x.cols(), count = layer.sequence_count(context.sequence_count());
    Index* begins = begins_.get<Index>(count + 1);
    Index* next = begins;
    for_each_pooled(layer, context, [&](Index first, Index) { *next++ = first; });
    begins[count] = x.rows();
    S* const y = context.out.set_dense(count, cols);
    Index* const tokens = pooling == Pooling::max ? tokens_.get<Index>((std::max)(count * cols, Index{1})) : nullptr;
    context.session.run(count, [&](Index s, Index worker) {
      const Index first = begins[s], last = begins[s + 1];
      S* const to = y + s * cols;
      if (first == last)
        std::fill_n(to, cols, S(0));
      else if (pooling == Pooling::first)
        std::copy_n(x.data() + first * cols, cols, to);
      else if (pooling == Pooling::max)
        choose_max(x, first, last, to, tokens + s * cols);
      else
        add(x, first, last, to, context.session.scratch(worker));
    });
  }

  Gradient<S> backward(const Pool<pooling>&, Context<S>& context) {
    if (!context.needs_input_gradient) return {};
    const Index cols = context.in.cols, count = context.out.n;
    const S* const dy = context.output_gradient().data();
    const Index* const begins = begins_.get<Index>(0);
    S* const dx = gradients_.get<S>((std::max)(context.in.n * cols, Index{1}));
    context.session.run(count, [&](Index s, Index) {
      const Index first = begins[s], last = begins[s + 1];
      const S* const d = dy + s * cols;
      if (pooling == Pooling::mean || pooling == Pooling::sum) {
        const S divisor = pooling == Pooling::mean ? static_cast<S>(last - first) : S(1);
        for (Index i = first; i < last; ++i)
          for (Index j = 0; j < cols; ++j) dx[i * cols + j] = d[j] / divisor;
        return;
      }
      std::fill(dx + first * cols, dx + last * cols, S(0));
      if (first == last) return;
      const Index* const tokens = pooling == Pooling::max ? tokens_.get<Index>(0) + s * cols : nullptr;
      for (Index j = 0; j < cols; ++j) dx[(tokens != nullptr ? tokens[j] : first) * cols + j] = d[j];
    });
    return {.dense = dx};
  }

 private:
  /// Computes the sum or the mean.
  static void add(const ConstRows<S>& x, Index first, Index last, S* to, WorkerScratch& scratch) {
    const Index cols = x.cols();
    ScratchFrame frame(scratch);
    double* const sums = frame.take<double>(cols);
    const double divisor = pooling == Pooling::mean ? static_cast<double>(last - first) : 1;
    std::fill_n(sums, cols, 0.0);
    for (Index i = first; i < last; ++i)
      for (Index j = 0; j < cols; ++j) sums[j] += static_cast<double>(x.data()[i * cols + j]);
    for (Index j = 0; j < cols; ++j) to[j] = static_cast<S>(sums[j] / divisor);
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

/// Pools the rows of a matrix: x | pool_max({3, 2}). Without lengths, all rows are one sequence.
template <DenseExpression X, detail::Pooling pooling>
auto operator|(X&& x, Pool<pooling> pool) {
  using S = typename std::remove_cvref_t<X>::Scalar;
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const detail::Session session(detail::Execution{});
  const Matrix rows = x;
  Activations<S> in, out;
  in.set_view(rows.rows(), rows.cols(), rows.data());
  Context<S> context = {.parameters = nullptr,
                        .gradient = nullptr,
                        .in = in,
                        .out = out,
                        .dy = {},
                        .needs_input_gradient = false,
                        .accumulate = false,
                        .loss = nullptr,
                        .network = {},
                        .session = session,
                        .training = false,
                        .draw = 0};
  detail::PoolState<S, pooling>().forward(pool, context);
  return Matrix(out.rows(session));
}

}  // namespace filigree
