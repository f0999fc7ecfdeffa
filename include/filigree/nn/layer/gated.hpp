// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "filigree/nn/layer/linear.hpp"

namespace filigree {

namespace detail {
template <Real S>
class GatedState;
}

/// A gated encoder layer. Its parameters are the weights, in x out, the biases of the gates, the biases of the
/// magnitudes, and the logarithms r of the scales of the magnitudes.
template <Real S>
struct Gated {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::GatedState<S>;
  Index in, out;

  [[nodiscard]] Index inputs() const { return in; }
  [[nodiscard]] Index outputs(Index width) const {
    detail::require(width == in, "gated(", in, ", ", out, "): gets ", width, " columns from the stage before it, not ",
                    in);
    return out;
  }
  [[nodiscard]] Index weight_count() const { return in * out; }
  [[nodiscard]] Index parameter_count() const { return in * out + 3 * out; }
  void initialize(S* parameters, Generator& generator) const {
    Linear<S>{.in = in, .out = out}.initialize(parameters, generator);
    std::fill_n(parameters + in * out, 3 * out, S(0));
  }
};

/// Makes the encoder of a gated autoencoder, whose gates and magnitudes share their weights.
///
/// The gates have derivative 0; gate_l1() and gate_reconstruction() train them.
/// Formula    [π + b_gate > 0] · max(exp(r) π + b_mag, 0), π = x W
/// Cost       that of linear(in, latents); the outputs of the linear layer are stored
/// Throws     Error if in or latents is below 1
/// Reference  Rajamanoharan et al., arXiv:2404.16014, equations 6 and 7
template <Real S = float>
Gated<S> gated(Index in, Index latents) {
  const Linear<S> checked = linear<S>(in, latents);
  return {.in = checked.in, .out = checked.out};
}

namespace detail {

template <class T>
inline constexpr bool is_gated = false;
template <Real S>
inline constexpr bool is_gated<Gated<S>> = true;

template <Real S>
class GatedState {
 public:
  void forward(const Gated<S>& layer, Context<S>& context) {
    Activations<S>& in = context.in;
    const Index cols = layer.out;
    const S *weights = context.parameters, *gate = weights + layer.weight_count(), *magnitude = gate + cols,
            *r = magnitude + cols;
    S* pi = pi_.set_dense(in.n, cols);
    multiply(view(in.rows(context.session)), {weights, layer.in, cols, cols, 1}, {.data = pi, .stride = cols},
             context.session);
    scales_.resize(static_cast<std::size_t>(cols));
    for (Index j = 0; j < cols; ++j) scales_[static_cast<std::size_t>(j)] = std::exp(r[j]);
    memory_.allocate(in.n, cols);
    const Lists<S>& lists = memory_.lists();
    gates_ = lists;
    gates_.values = gate_values_.get<S>(in.n * lists.stride + 1);
    gates_.gradients = gate_gradients_.get<S>(in.n * lists.stride + 1);
    for_each_rows(in.n, context.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        Index e = i * lists.stride;
        for (Index j = 0; j < cols; ++j) {
          const S x = pi[i * cols + j], gate_input = x + gate[j];
          const S magnitude_input = scales_[static_cast<std::size_t>(j)] * x + magnitude[j];
          lists.values[e] = magnitude_input <= S(0) ? S(0) : magnitude_input;  // NaN stays
          lists.columns[e] = static_cast<Column>(j);
          gates_.values[e] = gate_input;
          gates_.gradients[e] = S(0);
          e += gate_input <= S(0) ? 0 : 1;
        }
        lists.counts[i] = e - i * lists.stride;
      }
    });
    context.out.set_lists(cols, lists);
  }

  Gradient<S> backward(const Gated<S>& layer, Context<S>& context) {
    Activations<S>& in = context.in;
    const Index cols = layer.out;
    memory_.set_gradients(context.dy, cols, context.session);
    const Lists<S>& lists = memory_.lists();
    sums_.assign(static_cast<std::size_t>(3 * cols), 0);
    for (Index i = 0; i < in.n; ++i)
      for (Index e = i * lists.stride; e < i * lists.stride + lists.counts[i]; ++e) {
        const auto j = static_cast<std::size_t>(lists.columns[e]), count = static_cast<std::size_t>(cols);
        const S x = pi_.data[i * cols + lists.columns[e]], scale = scales_[j], d_gate = gates_.gradients[e];
        const S d_magnitude = lists.values[e] <= S(0) ? S(0) : lists.gradients[e];
        sums_[j] += static_cast<double>(d_gate);
        sums_[count + j] += static_cast<double>(d_magnitude);
        sums_[2 * count + j] += static_cast<double>(d_magnitude * scale * x);
        lists.gradients[e] = d_magnitude * scale + d_gate;
      }
    // pi is a linear layer without biases. Its State writes their gradient anyway, the column sums of the gradient.
    Context<S> linear = context.inside(0, in, pi_);
    linear.dy = {.lists = &lists};
    const Gradient<S> before = linear_.backward({.in = layer.in, .out = cols}, linear);
    S* gate_gradient = context.gradient + layer.weight_count();
    column_sums_.assign(gate_gradient, gate_gradient + cols);
    for (Index p = 0; p < 3 * cols; ++p) gate_gradient[p] = static_cast<S>(sums_[static_cast<std::size_t>(p)]);
    return before;
  }

  [[nodiscard]] const Lists<S>& gates() const { return gates_; }
  /// Writes the sum over samples of the gradients with respect to the inputs.
  void sum_input_gradients(const Gated<S>& layer, Context<S>& context, S* to) {
    detail::sum_input_gradients(context.parameters, column_sums_.data(), layer.in, layer.out, to, context.session);
  }

 private:
  ListMemory<S> memory_;
  Activations<S> pi_;
  Lists<S> gates_;
  Buffer gate_values_, gate_gradients_;
  LinearState<S> linear_;
  std::vector<S> scales_, column_sums_;  // column sums of the gradient with respect to pi
  std::vector<double> sums_;
};

}  // namespace detail
}  // namespace filigree
