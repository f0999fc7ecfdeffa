// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <string>

#include "filigree/encoder/sae_file.hpp"
#include "filigree/encoder/sae_lens_config.hpp"

namespace filigree {

namespace detail {

/// Calls f(name, array, rows, cols, transposed) for each array: its name in the file, and true if the file holds the
/// transpose.
template <class Weights, class F>
void for_each_tensor(const SaeLensConfig& config, Weights& weights, F&& f) {
  f("W_enc", weights.W_enc, config.d_in, config.d_sae);
  f("W_dec", weights.W_dec, config.d_sae, config.d_out);
  f(config.is_gated() ? "b_gate" : "b_enc", weights.b_enc, config.d_sae, 1);
  f("b_dec", weights.b_dec, config.d_out, 1);
  if (config.has_thresholds()) f("threshold", weights.threshold, config.d_sae, 1);
  if (config.is_gated()) f("r_mag", weights.r_mag, config.d_sae, 1);
  if (config.is_gated()) f("b_mag", weights.b_mag, config.d_sae, 1);
  if (config.has_skip()) f("W_skip", weights.W_skip, config.d_in, config.d_out, true);
}

}  // namespace detail

/// Reads an autoencoder in the format of SAELens: a directory with cfg.json and sae_weights.safetensors.
///
/// encoder_of(config) returns the matching encoder. The file may also describe a model that Filigree does not have.
/// Throws     Error if a file cannot be read, the configuration is out of range, the weights do not match it, or a
///            finetuning factor is not 1
/// Reference  https://github.com/jbloomAus/SAELens
template <Real S = float>
SaeFile<SaeLensConfig, S> load_sae_lens(const std::string& directory) {
  const std::string path = directory + "/cfg.json";
  SaeFile<SaeLensConfig, S> file{.config = SaeLensConfig::read(load_json(path)), .weights = {}};
  detail::TensorReader tensors(directory + "/sae_weights.safetensors", path);
  detail::for_each_tensor(file.config, file.weights, tensors);
  tensors.ones("scaling_factor");
  tensors.ones("finetuning_scaling_factor");
  tensors.done();
  file.config.tensor_types = tensors.types_other_than(file.config.dtype);
  return file;
}

/// Writes an autoencoder in the format of SAELens and creates the directory if needed.
///
/// Each file is replaced atomically.
/// Throws     Error, before anything is written, if the weights do not match the configuration; or if a file cannot be
///            written
template <Real S>
void save_sae_lens(const std::string& directory, const SaeWeights<S>& weights, SaeLensConfig config = {}) {
  const std::string call = "save_sae_lens(directory, weights, config)";
  if (config.d_in == 0) config.d_in = weights.W_enc.rows();
  if (config.d_sae == 0) config.d_sae = weights.W_enc.cols();
  if (config.d_out == 0 || !config.is_transcoder())
    config.d_out = config.is_transcoder() ? weights.W_dec.cols() : config.d_in;
  const JsonObject json = detail::document_of(config, call);
  detail::TensorWriter tensors(call, config.dtype, config.tensor_types);
  detail::for_each_tensor(config, weights, tensors);
  tensors.done(weights);
  tensors.write(directory, "sae_weights.safetensors", json);
}

/// Rewrites a model with rescale_acts_by_decoder_norm as an equivalent model without it.
///
/// The norms of the decoder's rows move into the encoder, and these rows get length 1.
/// Throws     Error unless rescale_acts_by_decoder_norm is true
template <Real S>
void fold_decoder_norms(SaeFile<SaeLensConfig, S>& file) {
  auto& [config, weights] = file;
  detail::require(config.is_top_k() && config.rescale_acts_by_decoder_norm,
                  "fold_decoder_norms(file): the configuration must have \"rescale_acts_by_decoder_norm\": true");
  const typename SaeWeights<S>::Vector norms = weights.W_dec.rowwise().norm().cwiseMax(S(1e-8));
  weights.W_dec.array().colwise() /= norms.array();
  weights.W_enc.array().rowwise() *= norms.transpose().array();
  weights.b_enc.array() *= norms.array();
  config.rescale_acts_by_decoder_norm = false;
}

}  // namespace filigree
