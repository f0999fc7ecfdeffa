// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "filigree/nn/pass.hpp"

namespace filigree {

template <class Encoder, class Decoder>
class Autoencoder;

/// A network that consists of an encoder and a decoder and gives access to the codes between them.
template <class... E, class... D>
class Autoencoder<std::tuple<E...>, std::tuple<D...>> : public detail::NetworkOf<std::tuple<E..., D...>>::type {
  using Base = typename detail::NetworkOf<std::tuple<E..., D...>>::type;

 public:
  using Matrix = typename Base::Matrix;
  static constexpr std::size_t code = sizeof...(E);  ///< index of the first stage of the decoder

  Autoencoder(std::tuple<E...> encoder, std::tuple<D...> decoder, std::uint64_t seed)
      : Base(std::tuple_cat(std::move(encoder), std::move(decoder)), seed) {}

  /// Returns the number of columns of a code.
  [[nodiscard]] Index latents() const { return this->width(code); }

  /// Returns the codes of samples, one row for each sample.
  ///
  /// Shapes  X: N x inputs, result: N x latents
  template <Samples X>
  [[nodiscard]] Matrix encode(const X& x) const {
    return this->template run<0, sizeof...(E)>(x, "encode(X)");
  }
  /// Returns the outputs of the decoder for codes, one row for each code.
  ///
  /// Shapes  X: N x latents, result: N x outputs
  /// Throws  Error if the decoder has a skip connection
  template <Samples X>
  [[nodiscard]] Matrix decode(const X& x) const {
    return this->template run<sizeof...(E), Base::depth>(x, "decode(X)");
  }
};

/// Makes an autoencoder: the encoder maps samples to codes, the decoder maps codes to samples.
///
/// autoencoder(linear(64, 25) | sigmoid() | penalize(3.0 * kl(0.01)), linear(25, 64) | sigmoid())
/// Throws     Error if a layer does not fit the preceding one, or if the numbers of inputs and outputs differ
/// Reference  Ng, CS294A lecture notes, "Sparse autoencoder"
template <detail::Piped E, detail::Piped D>
auto autoencoder(E&& encoder, D&& decoder, std::uint64_t seed = 0) {
  auto e = detail::stages_of(std::forward<E>(encoder));
  auto d = detail::stages_of(std::forward<D>(decoder));
  Autoencoder<decltype(e), decltype(d)> sae(std::move(e), std::move(d), seed);
  detail::require(sae.outputs() == sae.inputs(), "autoencoder(encoder, decoder): the decoder has ", sae.outputs(),
                  " outputs, but the encoder has ", sae.inputs(), " inputs");
  return sae;
}

/// Makes an autoencoder whose targets are not its inputs. It approximates a layer of a model with sparse codes.
///
/// Train it by fit(transcoder, X, Y, ...), where X holds the inputs and Y the outputs of that layer.
/// transcoder(linear(512, 8192) | top_k(32), linear(8192, 512).skip_connection(512))
/// Throws     Error if a layer does not fit the preceding one
/// Reference  Dunefsky et al., arXiv:2406.11944; with a skip connection Paulo et al., arXiv:2501.18823
template <detail::Piped E, detail::Piped D>
auto transcoder(E&& encoder, D&& decoder, std::uint64_t seed = 0) {
  auto e = detail::stages_of(std::forward<E>(encoder));
  auto d = detail::stages_of(std::forward<D>(decoder));
  return Autoencoder<decltype(e), decltype(d)>(std::move(e), std::move(d), seed);
}

}  // namespace filigree
