// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "filigree/core/generator.hpp"
#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/layer/constraints.hpp"
#include "filigree/nn/layer/sparse_product.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {
template <Real S>
class LinearState;
}

/// A linear layer. Its parameters are the weights, in x out, the weights of the skip connection, skip x out, and the
/// biases.
template <Real S>
struct Linear {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::LinearState<S>;
  static constexpr bool is_affine = true;  // its outputs, without the skip connection
  Index in, out;
  Index skip = 0;  // width of the network's input, if the layer has a skip connection from it
  detail::Constraints constraints = {};
  bool has_bias = true;  // false: the biases are 0 and are not trained

  /// Constrains the rows of the weights, the atoms of a dictionary, to length 1. Gradients are projected.
  ///
  /// Formula    ‖W_j‖ = 1
  [[nodiscard]] Linear unit_norm_rows() const {
    Linear layer = *this;
    layer.constraints.unit_rows = true;
    return layer;
  }
  /// Constrains the weights to be at least 0.
  ///
  /// Formula    W ≥ 0
  [[nodiscard]] Linear non_negative() const {
    Linear layer = *this;
    layer.constraints.non_negative = true;
    return layer;
  }
  /// Constrains the weights to 0 wherever the mask is 0.
  ///
  /// Formula  W = 0 where mask = 0
  /// Shapes   mask: in x out
  /// Throws   Error if the mask has another shape
  template <DenseExpression M>
  [[nodiscard]] Linear masked(const M& mask) const {
    detail::require(mask.rows() == in && mask.cols() == out, "linear(", in, ", ", out,
                    ").masked(mask): the mask must be ", in, " x ", out, ", got ", mask.rows(), " x ", mask.cols());
    const typename M::PlainObject values = mask;
    std::vector<char> free;
    for (Index i = 0; i < in; ++i)
      for (Index j = 0; j < out; ++j) free.push_back(values(i, j) != typename M::Scalar(0) ? 1 : 0);
    Linear layer = *this;
    layer.constraints.mask = std::make_shared<const std::vector<char>>(std::move(free));
    return layer;
  }

  /// Constrains the biases to 0.
  ///
  /// Formula  x W
  [[nodiscard]] Linear without_bias() const {
    Linear layer = *this;
    layer.has_bias = false;
    return layer;
  }

  /// Adds a skip connection from the input x_0 of the network; W_skip starts at 0.
  ///
  /// Formula    x W + b + x_0 W_skip
  /// Throws     Error if inputs < 1; network(...) throws if `inputs` is not the width of its input
  /// Reference  Paulo, Shabalin and Belrose, arXiv:2501.18823
  [[nodiscard]] Linear skip_connection(Index inputs) const {
    detail::require(inputs >= 1, "linear(", in, ", ", out, ").skip_connection(inputs): inputs must be at least 1, got ",
                    inputs);
    Linear layer = *this;
    layer.skip = inputs;
    return layer;
  }

  [[nodiscard]] Index inputs() const { return in; }
  [[nodiscard]] Index outputs(Index width) const {
    detail::require(width == in, "linear(", in, ", ", out, "): gets ", width, " columns from the stage before it, not ",
                    in);
    return out;
  }
  [[nodiscard]] Index weight_count() const { return (in + skip) * out; }
  [[nodiscard]] Index parameter_count() const { return weight_count() + out; }

  void initialize(S* parameters, Generator& generator) const {
    const double r = std::sqrt(6 / static_cast<double>(in + out + 1));
    fill_uniform(detail::Rows<S>(parameters, in, out), -r, r, generator);
    std::fill_n(parameters + in * out, (skip + 1) * out, S(0));
    project_weights(parameters);
  }
  /// Projects the gradient before a training step.
  void project_gradient(const S* parameters, S* gradient) const {
    constraints.project_gradient(parameters, gradient, in, out);
  }
  /// Projects the weights after a training step.
  void project_weights(S* parameters) const {
    constraints.project_weights(parameters, in, out);
    if (!has_bias) std::fill_n(parameters + weight_count(), out, S(0));
  }
  template <class Net>
  void check_network(const Net& net) const {
    detail::require(skip == 0 || skip == net.inputs(), "linear(", in, ", ", out, ").skip_connection(", skip,
                    "): the network takes ", net.inputs(), " columns");
  }
  [[nodiscard]] bool reads_network_input() const { return skip > 0; }
  [[nodiscard]] bool satisfies_constraints(const S* parameters) const {
    const S* const biases = parameters + weight_count();
    return constraints.are_satisfied(parameters, in, out) &&
           (has_bias || std::all_of(biases, biases + out, [](S b) { return b == S(0); }));
  }
};

/// Makes a layer with `in` inputs, `out` outputs, weights W and biases b.
///
/// The network stores the parameters. W is initialized uniformly in [-r, r] with r = sqrt(6 / (in + out + 1)), and b
/// with 0. linear<double>(in, out) makes a network of double.
/// Formula    x W + b
/// Cost       2 N in out operations for N samples, three times as many with the backward pass. After a stage that keeps
///            few entries per sample: 2 N kept out, and three times as many. Before such a stage the gradient of W
///            costs 2 N kept in. Before top_k with small k the outputs are not stored, nor before
///            log1p_relu() | pool_max() or pool_sum()
/// Throws     Error if in or out is below 1
/// Reference  Glorot and Bengio, AISTATS 2010, equation 16
template <Real S = float>
Linear<S> linear(Index in, Index out) {
  constexpr Index max_size = (std::numeric_limits<kernel::Column>::max)() - 1024;
  detail::require(in >= 1 && in <= max_size, "linear(in, out): in must be from 1 to ", max_size, ", got ", in);
  detail::require(out >= 1 && out <= max_size, "linear(in, out): out must be from 1 to ", max_size, ", got ", out);
  return {.in = in, .out = out};
}

namespace detail {

template <class T>
inline constexpr bool is_linear = false;
template <Real S>
inline constexpr bool is_linear<Linear<S>> = true;

/// Computes the sum over samples of W dy from the column sums of dy.
///
/// Shapes  weights: in x out, dy_sums: out, to: in
template <Real S>
void sum_input_gradients(const S* weights, const S* dy_sums, Index in, Index out, S* to, const Session& session) {
  detail::for_each_rows(in, session, [&](Index first, Index last) {
    Column rows[samples_per_task] = {};
    for (Index i = first; i < last; ++i) rows[i - first] = static_cast<Column>(i);
    kernel::kernels<S>().dots(to + first, dy_sums, rows, last - first, weights, out, out);
  });
}

template <Real S>
class LinearState {
 public:
  static constexpr bool runs_in_batches = true;

  void forward(const Linear<S>& layer, Context<S>& context) {
    forward(layer, context, [](S*, Index, Index) {});
  }
  /// map(y, first, last) may change complete rows of outputs while they are in the cache.
  template <class F>
  void forward(const Linear<S>& layer, Context<S>& context, F&& map) {
    const S *weights = context.parameters, *biases = weights + layer.weight_count();
    S* y = context.make_outputs(layer.out).data();
    if (layer.skip > 0)
      add_product(*context.network.input, {weights + layer.in * layer.out, layer.skip, layer.out, layer.out, 1}, biases,
                  y, context.session, [](Index, Index) {});
    add_product(context.in, {weights, layer.in, layer.out, layer.out, 1}, layer.skip > 0 ? nullptr : biases, y,
                context.session, [&](Index first, Index last) { map(y, first, last); });
  }

  Gradient<S> backward(const Linear<S>& layer, Context<S>& context) {
    const Session& session = context.session;
    const S* weights = context.parameters;
    S *gradient = context.gradient, *biases = gradient + layer.weight_count();
    Activations<S>& in = context.in;
    if (layer.skip > 0)
      gradient_of(*context.network.input, context.output_gradient(), gradient + layer.in * layer.out, context);
    const Lists<S>* lists = context.dy.dense == nullptr ? context.dy.lists : nullptr;
    const bool sparse_dy = !in.is_sparse() && lists != nullptr && is_sparse(*lists, layer.out);
    if (sparse_dy) {
      by_column_.sort(*lists, lists->gradients, layer.out);
      multiply_transposed(in.rows(session), by_column_, layer.out, gradient, session);
      for (Index j = 0; j < layer.out; ++j) biases[j] = by_column_.sum(j);
      if (!context.needs_input_gradient) return {};
    }
    const ConstRows<S> dy = context.output_gradient();
    if (!sparse_dy) {
      gradient_of(in, dy, gradient, context);
      const double* sums = sum_columns(dy, session, [](S d) { return d; });
      for (Index j = 0; j < layer.out; ++j)
        biases[j] = (context.accumulate ? biases[j] : S(0)) + static_cast<S>(sums[j]);
    }
    if (!context.needs_input_gradient) return {};
    if (in.is_sparse()) {
      dot_lists(in.lists, dy, weights, session);
      return {.lists = &in.lists};
    }
    S* dx = gradients_.get<S>((std::max)(in.n * layer.in, Index{1}));
    const MatrixView<S> w = {weights, layer.in, layer.out, layer.out, 1};
    multiply(view(dy), w.transposed(), {.data = dx, .stride = layer.in}, session);
    return {.dense = dx};
  }

  /// Writes the sum over samples of the gradients with respect to the inputs, given the gradient of the biases.
  void sum_input_gradients(const Linear<S>& layer, Context<S>& context, S* to) {
    detail::sum_input_gradients(context.parameters, context.gradient + layer.weight_count(), layer.in, layer.out, to,
                                context.session);
  }

 private:
  /// Computes y = start + in * weights, or y += in * weights if start is null. Calls finish(first, last) for complete
  /// rows.
  template <class F>
  static void add_product(Activations<S>& in, const MatrixView<S>& weights, const S* start, S* y,
                          const Session& session, F&& finish) {
    const TaskRef finish_ref(finish);
    if (in.is_sparse())
      multiply_lists(in.lists, weights.data, start, weights.cols, y, session, finish);
    else
      multiply(view(in.rows(session)), weights,
               {.data = y, .stride = weights.cols, .start = start, .add = start == nullptr, .finish = &finish_ref},
               session);
  }
  /// Computes gradient = in' * dy, or adds to it if context.accumulate, which is set for dense inputs only.
  void gradient_of(Activations<S>& in, const ConstRows<S>& dy, S* gradient, const Context<S>& context) {
    if (in.is_sparse()) {
      by_column_.sort(in.lists, in.lists.values, in.cols);
      multiply_columns(by_column_, in.cols, dy, gradient, context.session);
    } else {
      multiply(view(in.rows(context.session)).transposed(), view(dy),
               {.data = gradient, .stride = dy.cols(), .add = context.accumulate}, context.session);
    }
  }

  Buffer gradients_;
  ByColumn<S> by_column_;
};

}  // namespace detail
}  // namespace filigree
