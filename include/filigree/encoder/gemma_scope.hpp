// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "filigree/encoder/sae_weights.hpp"
#include "filigree/io/npz.hpp"

namespace filigree {

/// Reads the weights of a JumpReLU autoencoder in the format of Gemma Scope.
///
/// The file params.npz has the arrays W_enc, W_dec, b_enc, b_dec and threshold. They fit the encoder linear(d_in,
/// d_sae) | jump_relu(d_sae), without pre_bias(), and the decoder linear(d_sae, d_in).
/// Throws     Error if the file cannot be read, lacks an array, or has an array of a wrong shape
/// Reference  Lieberum et al., arXiv:2408.05147
template <Real S = float>
SaeWeights<S> load_gemma_scope(const std::string& path) {
  using Weights = SaeWeights<S>;
  const Arrays arrays = load_npz(path);
  Weights weights;
  weights.W_enc = arrays["W_enc"].as<typename Weights::Matrix>();
  weights.W_dec = arrays["W_dec"].as<typename Weights::Matrix>();
  weights.b_enc = arrays["b_enc"].as<typename Weights::Vector>();
  weights.b_dec = arrays["b_dec"].as<typename Weights::Vector>();
  weights.threshold = arrays["threshold"].as<typename Weights::Vector>();
  const Index in = weights.W_enc.rows(), latents = weights.W_enc.cols();
  const auto fits = [&](const char* name, const auto& array, Index rows, Index cols) {
    detail::require(array.rows() == rows && array.cols() == cols, path, ": \"", name, "\" must be ", rows, " x ", cols,
                    " for a W_enc of ", in, " x ", latents, ", is ", array.rows(), " x ", array.cols());
  };
  fits("W_dec", weights.W_dec, latents, in);
  fits("b_enc", weights.b_enc, latents, 1);
  fits("b_dec", weights.b_dec, in, 1);
  fits("threshold", weights.threshold, latents, 1);
  return weights;
}

/// Writes the weights of a JumpReLU autoencoder in the format of Gemma Scope.
///
/// Throws     Error if the weights are not those of a jump_relu, or the file cannot be written
template <Real S>
void save_gemma_scope(const std::string& path, const SaeWeights<S>& weights) {
  detail::require(weights.threshold.size() > 0 && weights.r_mag.size() == 0,
                  "save_gemma_scope(path, weights): the weights must have a threshold and no r_mag");
  save_npz(path, {{"W_enc", array_of(weights.W_enc)},
                  {"W_dec", array_of(weights.W_dec)},
                  {"b_enc", array_of(weights.b_enc)},
                  {"b_dec", array_of(weights.b_dec)},
                  {"threshold", array_of(weights.threshold)}});
}

}  // namespace filigree
