// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <string>

#include "filigree/core/concepts.hpp"
#include "filigree/encoder/sae_config.hpp"

namespace filigree {

/// What the cfg.json of an autoencoder or transcoder in the layout of sparsify says.
///
/// Reference  https://github.com/EleutherAI/sparsify
struct SparsifyConfig {
  Index d_in = 0;                          ///< 0: that of the weights
  Index num_latents = 0;                   ///< 0: d_in * expansion_factor
  Index expansion_factor = 32;             ///< means nothing beside num_latents
  Index k = 32;                            ///< how many latents are kept
  std::string activation = "topk";         ///< or "groupmax": the largest latent of each of k groups
  bool transcode = false;                  ///< whether the encoder begins without pre_bias()
  bool skip_connection = false;            ///< whether there is a W_skip
  bool normalize_decoder = true;           ///< for training: whether the decoder's rows have length 1
  bool multi_topk = false;                 ///< for training: a second loss with 4 k latents
  Type dtype = Type::float32;              ///< the type of the weights, which only their own file says
  TensorTypes tensor_types = {};           ///< of a directory that was read: those that have another type
  JsonObject json = JsonObject("config");  ///< the whole file, with the keys that mean nothing here

  /// The number of latents.
  ///
  /// Throws     Error if it does not fit an Index
  [[nodiscard]] Index latents() const {
    Index product = num_latents;
    const bool fits = num_latents > 0 || detail::multiplied(d_in, expansion_factor, product);
    detail::require(fits, json.name(), ": \"d_in\" * \"expansion_factor\" must fit 63 bits, is ", d_in, " * ",
                    expansion_factor);
    return product;
  }

  /// Throws     Error that names file and key if d_in is missing, or a key is of another kind or out of range
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

  // The fields as a file has them.
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

/// Returns the encoder that such an autoencoder has here, for the decoder linear(latents, d_in): "pre_bias() |
/// linear(768, 24576) | top_k(32) | relu()".
///
/// Throws     Error if the activation is not "topk"
inline std::string encoder_of(const SparsifyConfig& config) {
  detail::require(config.activation == "topk", config.json.name(),
                  ": no encoder has \"activation\": ", detail::in_quotes(config.activation));
  return (config.transcode ? "linear(" : "pre_bias() | linear(") + std::to_string(config.d_in) + ", " +
         std::to_string(config.latents()) + ") | top_k(" + std::to_string(config.k) + ") | relu()";
}

}  // namespace filigree
