// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <string>

#include "filigree/core/concepts.hpp"
#include "filigree/encoder/sae_config.hpp"

namespace filigree {

namespace detail {

/// Returns the normalization of the inputs of the encoder. Old files have true or false here.
inline std::string normalization(const JsonObject& json) {
  const std::string key = "normalize_activations";
  if (!json.contains(key) || json.text(key) == "false") return "none";
  return json.text(key) == "true" ? "expected_average_only_in" : json.get<std::string>(key, "none");
}

}  // namespace detail

/// The configuration of an autoencoder in the format of SAELens, cfg.json, with the keys of version 6.
///
/// read() also accepts older files, where "topk" is the activation function of a "standard" autoencoder.
/// Reference  https://github.com/jbloomAus/SAELens
struct SaeLensConfig {
  std::string architecture = "standard";       ///< or "topk", "jumprelu", "gated", "transcoder", ...
  Index d_in = 0, d_sae = 0;                   ///< 0: the sizes of the weights
  Index d_out = 0;                             ///< transcoders only; 0: the size of the weights
  Type dtype = Type::float32;                  ///< the type of the weights in the file
  TensorTypes tensor_types = {};               ///< the tensors of a directory that was read whose type is not dtype
  Index k = 100;                               ///< "topk" only: the number of active latents
  bool apply_b_dec_to_input = true;            ///< true if the encoder begins with pre_bias()
  bool rescale_acts_by_decoder_norm = false;   ///< "topk" only: select by z times the norm of the decoder's row
  std::string activation_fn = "relu";          ///< other values exist in old files only
  std::string normalize_activations = "none";  ///< normalization of the inputs
  JsonObject json = JsonObject("config");      ///< the whole file, including keys that Filigree does not use

  [[nodiscard]] bool is_top_k() const { return architecture == "topk" || architecture == "abstopk"; }
  [[nodiscard]] bool is_gated() const { return architecture == "gated"; }
  [[nodiscard]] bool has_thresholds() const { return architecture.starts_with("jumprelu"); }
  [[nodiscard]] bool is_transcoder() const { return architecture.ends_with("transcoder"); }
  [[nodiscard]] bool has_skip() const { return architecture.ends_with("skip_transcoder"); }

  /// Returns the configuration in a JSON document.
  ///
  /// Throws     Error that names the file and the key if a key is missing, of a wrong type or out of range
  static SaeLensConfig read(const JsonObject& json) {
    SaeLensConfig config;
    config.json = json;
    config.architecture = json.get("architecture", config.architecture);
    config.activation_fn = json.get("activation_fn_str", json.get("activation_fn", config.activation_fn));
    const JsonObject options = json.get("activation_fn_kwargs", JsonObject());
    const bool has_k = options.get<double>("k", 0) != 0;
    if (config.activation_fn == "topk" && config.architecture == "standard" && has_k) config.architecture = "topk";
    if (config.activation_fn == "topk" && config.is_top_k()) config.activation_fn = "relu";

    config.d_in = detail::at_least(1, json, "d_in", json.get<Index>("d_in"));
    config.d_sae = detail::at_least(1, json, "d_sae", json.get<Index>("d_sae"));
    config.d_out = config.is_transcoder() ? detail::at_least(1, json, "d_out", json.get<Index>("d_out")) : config.d_in;
    config.dtype = detail::float_type(json, "dtype", "float32");
    config.apply_b_dec_to_input = json.get("apply_b_dec_to_input", config.apply_b_dec_to_input);
    detail::require(!config.is_transcoder() || !config.apply_b_dec_to_input, json.name(),
                    ": \"apply_b_dec_to_input\" must be false for a transcoder");
    if (config.is_top_k()) {
      config.k = detail::kept_latents(json, options.contains("k") || json.contains("k"),
                                      options.get("k", json.get("k", config.k)), config.d_sae);
      config.rescale_acts_by_decoder_norm =
          json.get("rescale_acts_by_decoder_norm", config.rescale_acts_by_decoder_norm);
    }
    config.normalize_activations = detail::normalization(json);
    return config;
  }

  // Returns the fields as keys of a file.
  [[nodiscard]] JsonObject keys() const {
    JsonObject keys;
    keys.set("d_in", d_in);
    keys.set("d_sae", d_sae);
    keys.set("dtype", name_of(dtype));
    keys.set("apply_b_dec_to_input", apply_b_dec_to_input);
    keys.set("normalize_activations", normalize_activations);
    const bool named = json.contains("activation_fn") || json.contains("activation_fn_str");
    if (named || activation_fn != "relu") keys.set("activation_fn", activation_fn);
    if (is_top_k()) {
      keys.set("k", k);
      keys.set("rescale_acts_by_decoder_norm", rescale_acts_by_decoder_norm);
    }
    if (is_transcoder()) keys.set("d_out", d_out);
    keys.set("architecture", architecture);
    return keys;
  }
};

/// Returns the source text of the matching encoder, such as "pre_bias() | linear(768, 24576) | top_k(32) | relu()".
///
/// The decoder is linear(d_sae, d_out).
/// Throws     Error that names an architecture, normalization or activation function without a layer in Filigree, or
///            rescale_acts_by_decoder_norm (see fold_decoder_norms)
inline std::string encoder_of(const SaeLensConfig& config) {
  const auto refuse = [&](const char* key, const std::string& value) {
    detail::fail(config.json.name(), ": no encoder supports \"", key, "\": ", value);
  };
  if (config.normalize_activations != "none")
    refuse("normalize_activations", detail::in_quotes(config.normalize_activations));
  detail::require(config.activation_fn != "topk" || config.architecture != "standard", config.json.name(),
                  ": the activation function \"topk\" needs its k: {\"activation_fn_kwargs\": {\"k\": ...}}");
  if (config.activation_fn != "relu") refuse("activation_fn", detail::in_quotes(config.activation_fn));
  if (config.is_top_k() && config.rescale_acts_by_decoder_norm)
    refuse("rescale_acts_by_decoder_norm", "true; call fold_decoder_norms(file) first");

  const std::string start = config.apply_b_dec_to_input ? "pre_bias() | " : "";
  const std::string latents = std::to_string(config.d_sae);
  const std::string sizes = "(" + std::to_string(config.d_in) + ", " + latents + ")";
  const std::string& name = config.architecture;
  if (name == "standard" || name == "transcoder" || name == "skip_transcoder")
    return start + "linear" + sizes + " | relu()";
  if (name == "topk") return start + "linear" + sizes + " | top_k(" + std::to_string(config.k) + ") | relu()";
  if (name == "jumprelu" || name == "jumprelu_transcoder" || name == "jumprelu_skip_transcoder")
    return start + "linear" + sizes + " | jump_relu(" + latents + ")";
  if (name != "gated") refuse("architecture", detail::in_quotes(name));
  return start + "gated" + sizes;
}

}  // namespace filigree
