// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <tuple>

#include "filigree/nn/loss/code_pass.hpp"
#include "filigree/nn/loss/residual_pass.hpp"
#include "filigree/nn/sequence_pass.hpp"
#include "filigree/nn/term.hpp"

namespace filigree::detail {

/// The losses that depend on more than the outputs of an autoencoder: losses of codes and of residuals.
template <class Net>
class AutoencoderLosses {
  using S = typename Net::Scalar;
  static constexpr std::size_t depth = Net::depth;
  template <std::size_t L>
  using StageAt = std::tuple_element_t<L, typename Net::StageTuple>;

 public:
  /// Returns the sum of the losses of codes. They add to dy, the gradient with respect to the codes, and to the
  /// gradient of the decoder.
  template <class Pass, class Objective>
  double add_code_losses(const Net& net, Pass& pass, const Objective& objective, const ConstRows<S>& target,
                         const Gradient<S>& dy, S* gradient, const Session& session) {
    double value = 0;
    each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), CodeLoss>)
        value += add_code_loss(term, factor, net, pass, target, dy, gradient, session);
    });
    return value;
  }

  /// Returns the sum of the losses of residuals, after the backward pass of all layers. They add to the gradients of
  /// the parameters.
  template <class Pass, class Objective>
  double add_residual_losses(const Net& net, Pass& pass, const Objective& objective, const ConstRows<S>& target,
                             const LatentUse& use, S* gradient, const Session& session) {
    double value = 0;
    each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), ResidualLoss>)
        value += add_residual_loss(term, factor, net, pass, target, use, gradient, session);
    });
    return value;
  }

 private:
  static constexpr bool has_linear_decoder() {
    if constexpr (requires { Net::code; })
      return Net::code == depth - 1 && is_affine<StageAt<depth - 1>>;
    else
      return false;
  }

  template <class T, class Pass>
  double add_code_loss(const T& term, double factor, const Net& net, Pass& pass, const ConstRows<S>& target,
                       const Gradient<S>& dy, S* gradient, const Session& session) {
    static_assert(
        has_linear_decoder(),
        "filigree: this loss is computed from codes: it needs an autoencoder whose decoder is one linear layer");
    const auto& decoder = net.template stage<depth - 1>();
    require(
        !reads_network_input(decoder),
        "pass: a loss of codes, such as matryoshka or gate_reconstruction, needs a decoder without a skip connection");
    constexpr std::size_t group = Pass::G::at(depth - 1);
    const Index at = net.offset(depth - 1), weights = weight_count(decoder);
    const S* parameters = net.parameters().data() + at;
    CodePass<S> codes = {.activations = pass.at(group),
                         .weights = parameters,
                         .biases = parameters + weights,
                         .target = target,
                         .weight_gradient = gradient != nullptr ? gradient + at : nullptr,
                         .bias_gradient = gradient != nullptr ? gradient + at + weights : nullptr,
                         .dy = dy,
                         .gates = nullptr,
                         .memory = code_memory_,
                         .by_column = by_column_,
                         .session = session};
    if constexpr (group > 0)
      if constexpr (requires { pass.template state<group - 1>().gates(); })
        codes.gates = &pass.template state<group - 1>().gates();
    return term.add(codes, factor);
  }

  /// The number of the linear layer that an encoder begins with, after pre_bias().
  static constexpr std::size_t encoder() {
    if constexpr (requires { State<StageAt<0>, S>::needs_only_gradient_sum; })
      return 1;
    else
      return 0;
  }

  template <class T, class Pass>
  double add_residual_loss(const T& term, double factor, const Net& net, Pass& pass, const ConstRows<S>& target,
                           const LatentUse& use, S* gradient, const Session& session) {
    constexpr std::size_t encoder = AutoencoderLosses::encoder(), decoder = depth - 1;
    static_assert(is_affine<StageAt<encoder>> && is_affine<StageAt<decoder>> && encoder < decoder,
                  "filigree: this loss is computed from residuals: it needs an autoencoder of two linear layers, the "
                  "first of them at the beginning or right after pre_bias()");
    const S* first = net.parameters().data() + net.offset(encoder);
    const Index weights = weight_count(net.template stage<encoder>());
    const auto in = [&](Index at) { return gradient != nullptr ? gradient + at : nullptr; };
    ResidualPass<S> residuals = {.inputs = pass.at(Pass::G::at(encoder)).rows(session),
                                 .outputs = pass.at(Pass::groups).rows(session),
                                 .target = target,
                                 .encoder = first,
                                 .encoder_biases = first + weights,
                                 .decoder = net.parameters().data() + net.offset(decoder),
                                 .encoder_gradient = in(net.offset(encoder)),
                                 .encoder_bias_gradient = in(net.offset(encoder) + weights),
                                 .decoder_gradient = in(net.offset(decoder)),
                                 .latents = net.template stage<encoder>().out,
                                 .use = use,
                                 .memory = residual_memory_,
                                 .session = session};
    return term.add(residuals, factor);
  }

  std::array<Buffer, 2> code_memory_;
  ByColumn<S> by_column_;
  ResidualMemory<S> residual_memory_;
};

}  // namespace filigree::detail
