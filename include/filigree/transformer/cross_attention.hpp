// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include "filigree/transformer/attention.hpp"

namespace filigree {

namespace detail {
template <Real S, class Head>
class CrossAttentionHeadsState;
}

/// Multi-head attention from queries to a memory, as a layer. Its inputs are the queries of all heads. Its parameters
/// are those of `projection`, which computes keys and values from the memory. cross_attention() makes it.
template <Real S, class Head>
struct CrossAttentionHeads {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::CrossAttentionHeadsState<S, Head>;
  static constexpr bool reads_sequences = true;
  heads count;
  Index width;  // of a head
  Linear<S> projection;
  Head head;

  [[nodiscard]] Index inputs() const { return count.h * width; }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == inputs(), "cross_attention: gets ", columns, " columns from the stage before it, not ",
                    inputs());
    return columns;
  }
  [[nodiscard]] Index weight_count() const { return projection.weight_count(); }
  [[nodiscard]] Index parameter_count() const { return projection.parameter_count(); }
  // Throws an Error: a Decoder has no memory.
  void check_decoding() const { detail::fail("Decoder(network): cross_attention() is not available in a Decoder"); }
  void initialize(S* parameters, Generator& generator) const { projection.initialize(parameters, generator); }
  void project_gradient(const S* parameters, S* gradient) const { projection.project_gradient(parameters, gradient); }
  void project_weights(S* parameters) const { projection.project_weights(parameters); }
  [[nodiscard]] bool satisfies_constraints(const S* parameters) const {
    return projection.satisfies_constraints(parameters);
  }
  // Describes the layer in a checkpoint.
  [[nodiscard]] std::string text() const {
    return detail::text_of("cross_attention_heads(", count.h, ", ", count.hkv, ", ", width, ", ", projection.in,
                           detail::head_text(head), ")");
  }
};

/// Options of cross_attention().
struct cross_attention_options {
  Index kv = 0;      ///< columns of the memory; 0: d
  Index width = 0;   ///< features of a head; 0: d / h
  bool bias = true;  ///< false: all projections are without biases
};

/// Makes a layer of multi-head attention to other sequences, the memory of a Batch:
/// net(Batch{tokens, lengths, Batch{memory, memory_lengths}}).
///
/// The tokens of sequence s attend to the rows of sequence s of the memory. `head` is a pipeline on the scores, or a
/// function of the head that returns one. Patterns are aligned so that the last token of a sequence has the position of
/// the last row of its memory. `dropout` is as in attention(). Pass::memory_gradient() is the gradient of the memory.
/// Formula    multi_head(x W_q + b_q, m W_k + b_k, m W_v + b_v) W_o + b_o
/// Shapes     x: N x d, memory m: M x kv, result: N x d. The layer is a sequence of linear(d, h width), the heads with
///            W_k and W_v side by side, kv x 2 hkv width, and b_k, b_v, and linear(h width, d)
/// Cost       that of multi_head() for each sequence, and of the projections
/// Throws     Error if h or hkv does not divide, or a size is out of range; in a pass, if the batch has no memory, or
///            one with another number of columns
/// Reference  Vaswani et al., arXiv:1706.03762, section 3.2.3
template <Real S = float, class Head>
auto cross_attention(Index d, heads count, Head&& head, const cross_attention_options& options = {}) {
  static_assert(detail::Piped<Head> || std::invocable<const std::decay_t<Head>&, Index>,
                "filigree: cross_attention(d, heads, head): head must be a pipeline or a function of the head index");
  const Index width = detail::width_of_heads("cross_attention", d, count, options.width);
  detail::require(options.kv >= 0, "cross_attention(d, heads, head, {.kv}): kv must be at least 1, or 0 for d, got ",
                  options.kv);
  const auto projection = detail::make_linear<S>(options.bias);
  return sequence(
      projection(d, count.h * width) |
      CrossAttentionHeads<S, std::decay_t<Head>>{
          count, width, projection(options.kv > 0 ? options.kv : d, 2 * count.hkv * width), std::forward<Head>(head)} |
      projection(count.h * width, d));
}

namespace detail {

template <Real S, class Head>
class CrossAttentionHeadsState {
  using Layer = CrossAttentionHeads<S, Head>;
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using View = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

 public:
  void forward(const Layer& layer, Context<S>& context) {
    require(context.network.memory != nullptr,
            "cross_attention: the samples have no memory; pass Batch{tokens, lengths, Batch{memory, lengths}}");
    Activations<S>& memory = *context.network.memory;
    require(memory.cols == layer.projection.in, "cross_attention: the memory has ", memory.cols, " columns, not ",
            layer.projection.in);
    Context<S> inner = context.inside(0, memory, projected_);
    projection_.forward(layer.projection, inner);
    const Index cols = layer.inputs();
    S* y = context.make_outputs(cols).data();
    each_product(layer, context, [&](Index first, Index count, Index, const auto& product) {
      Rows<S>(y + first * cols, count, cols) = product;
    });
  }

  Gradient<S> backward(const Layer& layer, Context<S>& context) {
    Activations<S>& memory = *context.network.memory;
    const Index cols = layer.inputs(), kv = layer.count.hkv * layer.width;
    const ConstRows<S> dy = context.output_gradient();
    S* dx = gradients_.get<S>((std::max)(context.in.n * cols, Index{1}));
    S* projected = projected_gradients_.get<S>((std::max)(memory.n * 2 * kv, Index{1}));
    each_product(layer, context, [&](Index first, Index count, Index key, const auto& product) {
      const auto g = gradients(product, dy.middleRows(first, count));
      std::copy_n(g.q.data(), count * cols, dx + first * cols);
      for (Index j = 0; j < g.k.rows(); ++j) {
        std::copy_n(g.k.data() + j * kv, kv, projected + (key + j) * 2 * kv);
        std::copy_n(g.v.data() + j * kv, kv, projected + (key + j) * 2 * kv + kv);
      }
    });
    Context<S> inner = context.inside(0, memory, projected_);
    inner.dy = {.dense = projected};
    inner.needs_input_gradient = context.network.memory_gradient != nullptr;
    const Gradient<S> dm = projection_.backward(layer.projection, inner);
    if (inner.needs_input_gradient)
      add_gradient(dm, memory.n, memory.cols, context.network.memory_gradient, true, context.session);
    return {.dense = dx};
  }

 private:
  /// Calls f(first, count, key, product) for the tokens of each sequence, the first row of its memory, and their
  /// attention.
  template <class F>
  void each_product(const Layer& layer, const Context<S>& context, F&& f) {
    const ConstRows<S> x = context.inputs(), kv = projected_.rows(context.session);
    const Index half = kv.cols() / 2;
    const Eigen::OuterStride<> stride(x.cols()), kv_stride(kv.cols());
    Index sequence = 0, key = 0;
    context.for_each_sequence([&](Index first, Index last) {
      if (first == last) return;  // an empty batch
      const Index m = context.network.memory_lengths[sequence];
      const S* const keys = kv.data() + key * kv.cols();
      const View q(x.data() + first * x.cols(), last - first, x.cols(), stride), k(keys, m, half, kv_stride),
          v(keys + half, m, half, kv_stride);
      attend_heads(layer.count, layer.head, q, k, v, context, sequence * layer.count.h, workspace_,
                   [&](const auto& product) { f(first, last - first, key, product); });
      ++sequence;
      key += m;
    });
  }

  LinearState<S> projection_;
  Activations<S> projected_;
  Workspace workspace_;
  Buffer gradients_, projected_gradients_;
};

}  // namespace detail
}  // namespace filigree
