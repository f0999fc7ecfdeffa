// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>

#include "filigree/core/check.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {
template <Real S>
class PreBiasState;
}

/// A layer that subtracts the bias of the last layer. It has no parameters of its own.
struct PreBias {
  using Category = Layer;
  template <Real S>
  using State = detail::PreBiasState<S>;

  [[nodiscard]] Index outputs(Index width) const { return width; }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S, class Generator>
  void initialize(S*, Generator&) const {}
  template <class Net>
  void check_network(const Net& net) const {
    using Stages = typename Net::StageTuple;
    static_assert(detail::is_affine<std::tuple_element_t<Net::depth - 1, Stages>>,
                  "filigree: pre_bias(): the last stage must be linear");
    detail::require(net.inputs() == net.outputs(), "pre_bias(): the last layer's bias has ", net.outputs(),
                    " numbers, and the samples have ", net.inputs());
  }
};

/// Subtracts the bias of the last layer from the samples.
///
/// The last stage must be linear. Right before a linear layer or gated(), the gradient costs less than elsewhere.
/// Formula    z = (x − b_pre) W + b, with the decoder a W' + b_pre
/// Cost       N in subtractions, and in * out multiplications for the gradient of the bias
/// Reference  Gao et al., arXiv:2406.04093, equations 1 and 2; Bricken et al. 2023, "Towards Monosemanticity"
inline PreBias pre_bias() { return {}; }

namespace detail {

template <Real S>
class PreBiasState {
 public:
  // At the beginning of a network this layer needs only the sum over samples of dy. If the next layer can compute it,
  // it need not compute dy.
  static constexpr bool needs_only_gradient_sum = true;

  void forward(const PreBias&, Context<S>& context) {
    const S* bias = context.network.output_biases;
    const ConstRows<S> x = context.inputs();
    const Index cols = x.cols();
    require(cols == context.network.outputs, "pre_bias(): the last layer's bias has ", context.network.outputs,
            " numbers, and the inputs have ", cols);
    S* y = context.make_outputs(cols).data();
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < cols; ++j) y[i * cols + j] = x(i, j) - bias[j];
    });
  }

  Gradient<S> backward(const PreBias&, Context<S>& context) {
    const ConstRows<S> dy = context.output_gradient();
    const double* sums = sum_columns(dy, context.session, [](S d) { return d; });
    for (Index j = 0; j < dy.cols(); ++j) context.network.output_biases_gradient[j] -= static_cast<S>(sums[j]);
    return context.dy;
  }
  /// Does the same, given the sum over samples of dy. sum(to) writes it.
  template <class F>
  void backward_of_sum(const PreBias&, Context<S>& context, F&& sum) {
    S* sums = sums_.get<S>(context.in.cols);
    sum(sums);
    for (Index j = 0; j < context.in.cols; ++j) context.network.output_biases_gradient[j] -= sums[j];
  }

 private:
  Buffer sums_;
};

}  // namespace detail
}  // namespace filigree
