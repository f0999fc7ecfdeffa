// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <string>

#include "filigree/core/concepts.hpp"
#include "filigree/encoder/sae_config.hpp"

namespace filigree {

/// The configuration of an autoencoder or transcoder in the format of sparsify, cfg.json.
///
/// Reference  https://github.com/EleutherAI/sparsify
struct SparsifyConfig {
  Index d_in = 0;                          ///< 0: the size of the weights
  Index num_latents = 0;                   ///< 0: d_in * expansion_factor
  Index expansion_factor = 32;             ///< ignored if num_latents is not 0
  Index k = 32;                            ///< the number of active latents
  std::string activation = "topk";         ///< or "groupmax": the largest latent of each of k groups
  bool transcode = false;                  ///< true if the encoder begins without pre_bias()
  bool skip_connection = false;            ///< true if there is a W_skip
  bool normalize_decoder = true;           ///< training only: true if the decoder's rows have length 1
  bool multi_topk = false;                 ///< training only: true for a second loss with 4 k latents
  Type dtype = Type::float32;              ///< the type of the weights, which is not a key of cfg.json
  TensorTypes tensor_types = {};           ///< the tensors of a directory that was read whose type is not dtype
  JsonObject json = JsonObject("config");  ///< the whole file, including keys that Filigree does not use

  /// Returns the number of latents.
  ///
  /// Throws     Error if it does not fit an Index
  [[nodiscard]] Index latents() const {
    Index product = num_latents;
    const bool fits = num_latents > 0 || detail::checked_multiply(d_in, expansion_factor, product);
    detail::require(fits, json.name(), ": \"d_in\" * \"expansion_factor\" must fit 63 bits, is ", d_in, " * ",
                    expansion_factor);
    return product;
  }

  /// Returns the configuration in a JSON document.
  ///
  /// Throws     Error that names the file and the key if d_in is missing, or a key is of a wrong type or out of range
  static SparsifyConfig read(const JsonObject& json) {
    SparsifyConfig config;
    config.json = json;
    config.d_in = detail::at_least(1, json, "d_in", json.get<Index>("d_in"));
    config.num_latents = detail::at_least(0, json, "num_latents", json.get("num_latents", config.num_latents));
    const Index factor = json.get("expansion_factor", config.expansion_factor);
    config.expansion_factor = detail::at_least(config.num_latents > 0 ? 0 : 1, json, "expansion_factor", factor);
    const Index latents = config.latents();
    config.k = detail::kept_latents(json, json.contains("k"), json.get("k", config.k), latents);
    config.activation = json.get("activation", config.activation);
    config.transcode = json.get("transcode", config.transcode);
    config.skip_connection = json.get("skip_connection", config.skip_connection);
    config.normalize_decoder = json.get("normalize_decoder", config.normalize_decoder);
    config.multi_topk = json.get("multi_topk", config.multi_topk);
    return config;
  }

  // Returns the fields as keys of a file.
  [[nodiscard]] JsonObject keys() const {
    JsonObject keys;
    keys.set("activation", activation);
    keys.set("expansion_factor", expansion_factor);
    keys.set("normalize_decoder", normalize_decoder);
    keys.set("num_latents", num_latents);
    keys.set("k", k);
    keys.set("multi_topk", multi_topk);
    keys.set("skip_connection", skip_connection);
    keys.set("transcode", transcode);
    keys.set("d_in", d_in);
    return keys;
  }
};

/// Returns the source text of the matching encoder, such as "pre_bias() | linear(768, 24576) | top_k(32) | relu()".
///
/// The decoder is linear(latents, d_in).
/// Throws     Error if the activation is not "topk"
inline std::string encoder_of(const SparsifyConfig& config) {
  detail::require(config.activation == "topk", config.json.name(),
                  ": no encoder supports \"activation\": ", detail::in_quotes(config.activation));
  return (config.transcode ? "linear(" : "pre_bias() | linear(") + std::to_string(config.d_in) + ", " +
         std::to_string(config.latents()) + ") | top_k(" + std::to_string(config.k) + ") | relu()";
}

}  // namespace filigree
