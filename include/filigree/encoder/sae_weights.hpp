// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>

#include "filigree/core/check.hpp"
#include "filigree/encoder/start.hpp"
#include "filigree/nn/layer/gated.hpp"
#include "filigree/nn/layer/jump_relu.hpp"

namespace filigree {

/// The weights of a sparse autoencoder or transcoder with two linear layers, with the names that files use. d_out is
/// d_in except in a transcoder.
template <Real S>
struct SaeWeights {
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;

  Matrix W_enc = {}, W_dec = {};  ///< d_in x d_sae, d_sae x d_out
  Vector b_enc = {}, b_dec = {};  ///< d_sae, d_out; b_enc is b_gate of a gated encoder
  Vector threshold = {};          ///< d_sae, of a jump_relu; else empty
  Vector r_mag = {}, b_mag = {};  ///< d_sae, of a gated encoder; else empty
  Matrix W_skip = {};             ///< d_in x d_out, of a skip connection, added to the outputs as x W_skip; else empty
};

namespace detail {

template <class T>
inline constexpr bool is_jump_relu = false;
template <Real S>
inline constexpr bool is_jump_relu<JumpRelu<S>> = true;

/// The indices of the stages with weights in an encoder; `none` for a missing one.
template <class... E>
struct EncoderForm {
  template <class Predicate>
  static constexpr std::size_t find(Predicate predicate) {
    std::size_t at = 0;
    (void)((predicate(static_cast<E*>(nullptr)) ? true : (++at, false)) || ...);
    return at;
  }
  static constexpr std::size_t none = sizeof...(E);
  static constexpr std::size_t gates = find([]<class T>(T*) { return is_gated<T>; });
  static constexpr std::size_t linear = find([]<class T>(T*) { return is_linear<T>; });
  static constexpr std::size_t encoder = gates < none ? gates : linear;
  static constexpr std::size_t thresholds = find([]<class T>(T*) { return is_jump_relu<T>; });
};

/// Throws an Error unless an array has the given shape.
template <class A>
void require_shape(const char* name, const A& array, Index rows, Index cols) {
  require(array.rows() == rows && array.cols() == cols, "set_weights(sae, weights): ", name, " must be ", rows, " x ",
          cols, ", is ", array.rows(), " x ", array.cols());
}

}  // namespace detail

/// Returns the weights of an autoencoder with a linear or gated encoder and a linear decoder. Constraints are applied.
template <class... E, class D>
SaeWeights<typename Autoencoder<std::tuple<E...>, std::tuple<D>>::Scalar> weights_of(
    const Autoencoder<std::tuple<E...>, std::tuple<D>>& sae) {
  if (!sae.is_constrained()) {
    auto constrained = sae;
    constrained.constrain();
    return weights_of(constrained);
  }
  using S = typename Autoencoder<std::tuple<E...>, std::tuple<D>>::Scalar;
  using Form = detail::EncoderForm<E...>;
  static_assert(Form::encoder < Form::none, "filigree: weights_of(sae): the encoder has no linear or gated layer");
  SaeWeights<S> weights;
  const Index latents = sae.latents();
  weights.W_enc = sae.template weights<Form::encoder>();
  weights.b_enc = sae.template biases<Form::encoder>().head(latents);
  weights.W_dec = sae.template weights<Form::none>();
  weights.b_dec = sae.template biases<Form::none>();
  weights.W_skip = sae.template skip_weights<Form::none>();
  if constexpr (Form::gates < Form::none) {
    weights.b_mag = sae.template biases<Form::gates>().segment(latents, latents);
    weights.r_mag = sae.template biases<Form::gates>().tail(latents);
  }
  if constexpr (Form::thresholds < Form::none) weights.threshold = sae.template biases<Form::thresholds>();
  return weights;
}

/// Sets the weights of an autoencoder.
///
/// Throws     Error, before anything is changed, if a shape differs, if only one of the two has thresholds, gates or a
///            skip connection, or if a threshold is below 0
template <class... E, class D, Real S>
void set_weights(Autoencoder<std::tuple<E...>, std::tuple<D>>& sae, const SaeWeights<S>& weights) {
  using Form = detail::EncoderForm<E...>;
  static_assert(Form::encoder < Form::none,
                "filigree: set_weights(sae, weights): the encoder has no linear or gated layer");
  const Index skip = sae.template stage<Form::none>().skip;
  constexpr bool gated = Form::gates < Form::none, jumps = Form::thresholds < Form::none;
  const Index in = sae.inputs(), latents = sae.latents(), out = sae.outputs();
  detail::require_shape("W_enc", weights.W_enc, in, latents);
  detail::require_shape("W_dec", weights.W_dec, latents, out);
  detail::require_shape("b_enc", weights.b_enc, latents, 1);
  detail::require_shape("b_dec", weights.b_dec, out, 1);
  detail::require_shape("W_skip", weights.W_skip, skip, skip > 0 ? out : weights.W_skip.cols());
  detail::require_shape("threshold", weights.threshold, jumps ? latents : 0, weights.threshold.cols());
  detail::require_shape("r_mag", weights.r_mag, gated ? latents : 0, weights.r_mag.cols());
  detail::require_shape("b_mag", weights.b_mag, gated ? latents : 0, weights.b_mag.cols());
  for (Index j = 0; j < weights.threshold.size(); ++j)
    detail::require(weights.threshold[j] >= 0, "set_weights(sae, weights): threshold[", j, "] must be at least 0, is ",
                    weights.threshold[j]);

  sae.template weights<Form::encoder>() = weights.W_enc;
  sae.template biases<Form::encoder>().head(latents) = weights.b_enc;
  sae.template weights<Form::none>() = weights.W_dec;
  sae.template biases<Form::none>() = weights.b_dec;
  if (skip > 0) sae.template skip_weights<Form::none>() = weights.W_skip;
  if constexpr (gated) {
    sae.template biases<Form::gates>().segment(latents, latents) = weights.b_mag;
    sae.template biases<Form::gates>().tail(latents) = weights.r_mag;
  }
  if constexpr (jumps) sae.template biases<Form::thresholds>() = weights.threshold;
}

}  // namespace filigree
