// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/state.hpp"
#include "filigree/transformer/embedding.hpp"

namespace filigree {

namespace detail {
template <Real S>
class TiedOutputState;
}

/// An output projection with the transposed table of the network's embedding. It has no parameters of its own.
struct TiedOutput {
  using Category = Layer;
  template <Real S>
  using State = detail::TiedOutputState<S>;
  static constexpr bool reads_table = true;
  Index count, d;

  [[nodiscard]] Index inputs() const { return d; }
  [[nodiscard]] Index outputs(Index width) const {
    detail::require(width == d, "tied_output(", count, ", ", d, "): gets ", width,
                    " columns from the stage before it, not ", d);
    return count;
  }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S>
  void initialize(S*, Generator&) const {}
  template <class Net>
  void check_network(const Net& net) const {
    Index embeddings = 0, outputs = 0;
    net.each_layer([&](const auto& layer, std::size_t, Index) {
      if constexpr (requires { layer.is_table; }) {
        ++embeddings;
        detail::require(layer.counts[0] == count && layer.d == d, "tied_output(", count, ", ", d,
                        "): the first table of ", layer.text(), " must be ", count, " x ", d);
      }
      outputs += requires { layer.reads_table; }
      ? 1 : 0;
    });
    detail::require(embeddings == 1, "tied_output(", count, ", ", d,
                    "): the network must have exactly one embedding(), it has ", embeddings);
    detail::require(outputs == 1, "tied_output(", count, ", ", d, "): the network must have only one, it has ",
                    outputs);
  }
};

/// Multiplies by the transposed first table of the network's embedding: embedding(50257, 768) | ... |
/// tied_output(50257, 768) computes a score of each token.
///
/// The gradient of the table is the sum of that of embedding() and that of this layer.
/// Formula    x Eᵀ
/// Shapes     x: N x d, result: N x count, E: count x d, of embedding(count, d)
/// Cost       2 N d count operations, three times as many with the backward pass
/// Throws     Error in network(...), unless it has exactly one embedding, of this shape, and one tied output
/// Reference  Press and Wolf, arXiv:1608.05859, section 3
inline TiedOutput tied_output(Index count, Index d) {
  detail::require(count >= 1 && d >= 1, "tied_output(count, d): count and d must be at least 1, got ", count, " and ",
                  d);
  return {count, d};
}

namespace detail {

template <Real S>
class TiedOutputState {
 public:
  void forward(const TiedOutput& layer, Context<S>& context) {
    S* const y = context.make_outputs(layer.count).data();
    multiply(view(context.inputs()), table(layer, context).transposed(), {.data = y, .stride = layer.count},
             context.session);
  }
  Gradient<S> backward(const TiedOutput& layer, Context<S>& context) {
    const ConstRows<S> dy = context.output_gradient();
    multiply(view(dy).transposed(), view(context.inputs()), {.data = context.network.table_gradient, .stride = layer.d},
             context.session);
    if (!context.needs_input_gradient) return {};
    S* const dx = gradients_.get<S>((std::max)(context.in.n * layer.d, Index{1}));
    multiply(view(dy), table(layer, context), {.data = dx, .stride = layer.d}, context.session);
    return {.dense = dx};
  }

 private:
  static MatrixView<S> table(const TiedOutput& layer, const Context<S>& context) {
    return {context.network.table, layer.count, layer.d, layer.d, 1};
  }

  Buffer gradients_;
};

}  // namespace detail
}  // namespace filigree
