// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "filigree/nn/layer/branches.hpp"

namespace filigree {

namespace detail {
template <class E, class D, Real S>
class EncoderDecoderState;
}

/// Layers of an encoder, for the memory of a batch, and of a decoder, which attends to their outputs.
template <class E, class D>
struct EncoderDecoder : detail::ScalarOf<E, D> {
  using Category = Layer;
  template <Real S>
  using State = detail::EncoderDecoderState<E, D, S>;
  E encoder;
  D decoder;

  EncoderDecoder(E e, D d) : encoder(std::move(e)), decoder(std::move(d)) {}

  [[nodiscard]] Index inputs() const { return decoder.inputs(); }
  [[nodiscard]] Index outputs(Index width) const {
    (void)encoder.outputs(encoder.inputs());
    detail::require(!detail::pools_sequences(encoder),
                    "encoder_decoder(encoder, decoder): the encoder cannot pool sequences");
    return decoder.outputs(width);
  }
  [[nodiscard]] Index parameter_count() const { return encoder.parameter_count() + decoder.parameter_count(); }
  template <Real S>
  void initialize(S* parameters, Generator& generator) const {
    each_layer(0, [&](const auto& layer, Index offset) { layer.initialize(parameters + offset, generator); });
  }
  template <class Net>
  void check_network(const Net& net) const {
    detail::require(!encoder.reads_network_input(),
                    "encoder_decoder(encoder, decoder): the encoder cannot have a skip connection");
    encoder.check_network(net);
    decoder.check_network(net);
  }
  [[nodiscard]] bool reads_network_input() const { return decoder.reads_network_input(); }
  // Calls f(layer, offset) for the layers of both with their parameters.
  template <class F>
  void each_layer(Index offset, F&& f) const {
    encoder.each_layer(offset, f);
    decoder.each_layer(offset + encoder.parameter_count(), f);
  }
  template <class F>
  void each_layer(Index offset, F&& f) {
    encoder.each_layer(offset, f);
    decoder.each_layer(offset + encoder.parameter_count(), f);
  }
  // Describes the layers in a checkpoint.
  [[nodiscard]] std::string text() const { return "encoder_decoder(" + encoder.text() + ", " + decoder.text() + ")"; }
};

/// Encodes the memory of a batch, and runs a decoder whose cross_attention() attends to the result:
/// network(encoder_decoder(encoder, decoder)).
///
/// `encoder` and `decoder` are layers. Positions in the encoder begin at 0 in each sequence of the memory.
/// Formula    decoder(x), with the memory encoder(m)
/// Shapes     x: N x inputs of the decoder, memory m: M x inputs of the encoder, or M integers if it begins with
///            embedding(); result: that of the decoder. The parameters are those of the encoder, then of the decoder
/// Cost       that of both, and one matrix for the gradient of encoder(m)
/// Throws     Error in network(...), if the encoder pools sequences; in a pass, if the batch has no memory, or one with
///            another number of columns
/// Reference  Vaswani et al., arXiv:1706.03762, section 3.1
template <detail::Piped E, detail::Piped D>
auto encoder_decoder(E&& encoder, D&& decoder) {
  return EncoderDecoder(sequence(std::forward<E>(encoder)), sequence(std::forward<D>(decoder)));
}

namespace detail {

template <class E, class D, Real S>
class EncoderDecoderState {
 public:
  static constexpr bool adds_to_loss = detail::adds_to_loss<State<E, S>> || detail::adds_to_loss<State<D, S>>;

  void forward(const EncoderDecoder<E, D>& layer, Context<S>& context) {
    require(context.network.memory != nullptr && context.network.decoding == nullptr,
            "encoder_decoder: the samples have no memory; pass Batch{tokens, lengths, Batch{memory, lengths}}");
    const Index cols = context.network.memory->cols, inputs = layer.encoder.inputs();
    require(inputs < 0 || cols == inputs, "encoder_decoder: the memory has ", cols, " columns, not ", inputs);
    Context<S> encoder = of_encoder(context);
    encoder_.forward(layer.encoder, encoder);
    Context<S> decoder = of_decoder(layer, context);
    decoder_.forward(layer.decoder, decoder);
  }

  Gradient<S> backward(const EncoderDecoder<E, D>& layer, Context<S>& context) {
    Context<S> decoder = of_decoder(layer, context), encoder = of_encoder(context);
    const Index size = encoded_.n * encoded_.cols;
    if (context.gradient != nullptr) {
      decoder.network.memory_gradient = gradient_.get<S>((std::max)(size, Index{1}));
      std::fill_n(decoder.network.memory_gradient, size, S(0));
    }
    const Gradient<S> dx = decoder_.backward(layer.decoder, decoder);
    encoder.dy = {.dense = decoder.network.memory_gradient};
    encoder.needs_input_gradient = context.network.memory_gradient != nullptr;
    const Gradient<S> dm = encoder_.backward(layer.encoder, encoder);
    if (encoder.needs_input_gradient && (dm.dense != nullptr || dm.lists != nullptr))
      add_gradient(dm, encoder.in.n, encoder.in.cols, context.network.memory_gradient, true, context.session);
    return dx;
  }

 private:
  Context<S> of_encoder(const Context<S>& context) {
    NetworkValues<S> values = context.network;
    Context<S> inner = context.inside(0, *values.memory, encoded_);
    inner.network.lengths = values.memory_lengths;
    inner.network.memory = nullptr;
    inner.network.memory_lengths = {};
    inner.network.memory_gradient = nullptr;
    return inner;
  }
  Context<S> of_decoder(const EncoderDecoder<E, D>& layer, const Context<S>& context) {
    Context<S> inner = context.inside(layer.encoder.parameter_count(), context.in, context.out);
    inner.network.memory = &encoded_;
    inner.network.memory_gradient = nullptr;
    return inner;
  }

  State<E, S> encoder_;
  State<D, S> decoder_;
  Activations<S> encoded_;
  Buffer gradient_;
};

}  // namespace detail
}  // namespace filigree
