// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <string>

#include "filigree/encoder/sae_file.hpp"
#include "filigree/encoder/sparsify_config.hpp"

namespace filigree {

namespace detail {

/// Calls f(name, array, rows, cols, transposed) for each array: its name in the file, and true if the file holds the
/// transpose.
template <class Weights, class F>
void for_each_tensor(const SparsifyConfig& config, Weights& weights, F&& f) {
  const Index in = config.d_in, latents = config.latents();
  f("encoder.weight", weights.W_enc, in, latents, true);
  f("encoder.bias", weights.b_enc, latents, 1);
  f("W_dec", weights.W_dec, latents, in);
  f("b_dec", weights.b_dec, in, 1);
  if (config.skip_connection) f("W_skip", weights.W_skip, in, in, true);
}

}  // namespace detail

/// Reads an autoencoder or transcoder in the format of sparsify: a directory with cfg.json and sae.safetensors.
///
/// encoder_of(config) returns the matching encoder. The file may also describe a model that Filigree does not have.
/// Throws     Error if a file cannot be read, the configuration is out of range, or the weights do not match it
/// Reference  https://github.com/EleutherAI/sparsify
template <Real S = float>
SaeFile<SparsifyConfig, S> load_sparsify(const std::string& directory) {
  const std::string path = directory + "/cfg.json";
  SaeFile<SparsifyConfig, S> file{.config = SparsifyConfig::read(load_json(path)), .weights = {}};
  detail::TensorReader tensors(directory + "/sae.safetensors", path);
  detail::for_each_tensor(file.config, file.weights, tensors);
  tensors.done();
  file.config.dtype = tensors["encoder.weight"].type;
  file.config.tensor_types = tensors.types_other_than(file.config.dtype);
  return file;
}

/// Writes an autoencoder or transcoder in the format of sparsify and creates the directory if needed.
///
/// Each file is replaced atomically.
/// Throws     Error, before anything is written, if the weights do not match the configuration; or if a file cannot be
///            written
template <Real S>
void save_sparsify(const std::string& directory, const SaeWeights<S>& weights, SparsifyConfig config = {}) {
  const std::string call = "save_sparsify(directory, weights, config)";
  if (config.d_in == 0) {
    config.d_in = weights.W_enc.rows();
    if (config.num_latents == 0) config.num_latents = weights.W_enc.cols();
  }
  const JsonObject json = detail::document_of(config, call);
  detail::TensorWriter tensors(call, config.dtype, config.tensor_types);
  detail::for_each_tensor(config, weights, tensors);
  tensors.done(weights);
  tensors.write(directory, "sae.safetensors", json);
}

}  // namespace filigree
