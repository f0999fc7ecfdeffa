// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <cstddef>
#include <string>
#include <vector>

#include "filigree/transformer/encoder_file.hpp"
#include "filigree/transformer/longformer_attention.hpp"

namespace filigree {

/// The sizes of an encoder of Longformer. The defaults are those of longformer-base-4096.
struct LongformerConfig {
  Index vocabulary = 50265;  ///< words
  Index types = 1;           ///< of tokens
  Index positions = 4098;    ///< rows of the table of positions
  Index padding = 1;         ///< the id of padding; the first token of a text has position padding + 1
  Index d = 768;             ///< columns of the embeddings and of the outputs
  Index layers = 12;
  Index heads = 12;
  Index hidden = 3072;                 ///< outputs of the first feed-forward layer
  std::vector<Index> windows = {512};  ///< keys in the window of a token, for all layers, or for each of them
  double epsilon = 1e-5;               ///< of layer_norm
  double dropout = 0;                  ///< of transformer_layer(), in training; a file does not set it

  /// Reads the keys of a config.json of Hugging Face transformers: LongformerConfig::read(load_json("config.json")).
  ///
  /// Throws     Error that names the key if a size is missing or out of range, or a window is odd; and if the model is
  ///            not one that longformer_encoder() makes: another "model_type", "hidden_act" or
  ///            "position_embedding_type", or a decoder
  static LongformerConfig read(const JsonObject& json) {
    LongformerConfig config;
    detail::read_encoder_sizes(json, "longformer", config);
    config.padding = detail::at_least(0, json, "pad_token_id", json.get<Index>("pad_token_id", 1));
    detail::require(config.padding < config.positions - 1, json.name(),
                    ": \"max_position_embeddings\" must be at least ", "\"pad_token_id\" + 2, is ", config.positions);
    config.windows = read_windows(json, config.layers);
    return config;
  }

 private:
  static std::vector<Index> read_windows(const JsonObject& json, Index layers) {
    const char* const key = "attention_window";
    if (!json.contains(key)) return {512};
    const std::string& text = json.text(key);
    std::vector<Index> windows;
    if (text.starts_with('[')) {
      const auto list = nlohmann::json::parse(text, nullptr, false);
      for (const auto& entry : list) {
        detail::require(entry.is_number_integer(), json.name(), ": \"attention_window\" must be whole numbers, has ",
                        entry.dump());
        windows.push_back(entry.get<Index>());
      }
      detail::require(static_cast<Index>(windows.size()) == layers, json.name(), ": \"attention_window\" must have a ",
                      "number for each of the ", layers, " layers, has ", windows.size());
    } else {
      windows = {json.get<Index>(key)};
    }
    for (const Index w : windows)
      detail::require(w >= 2 && w % 2 == 0, json.name(), ": \"attention_window\" must be even and at least 2, is ", w);
    return windows;
  }
};

/// Makes the encoder of Longformer with random parameters: longformer_encoder(config, {0}).
///
/// The tokens with the positions `globals` are global in each text, as in longformer_attention(): {0} is the first one,
/// for classification. load(encoder, path, longformer_names()) reads its parameters.
/// Shapes     ids: N x 2, a word and a type in each row, of one text or a Batch of texts; result: N x d, the last
///            hidden states
/// Throws     Error if a size is out of range, or there are neither one window nor one for each layer; in a pass, if an
///            id is out of range, or a text has more than positions − padding − 1 tokens
/// Reference  Beltagy et al., arXiv:2004.05150, section 3
template <Real S = float>
auto longformer_encoder(const LongformerConfig& config, const std::vector<Index>& globals = {0}) {
  const auto windows = static_cast<Index>(config.windows.size());
  detail::require(windows == 1 || windows == config.layers,
                  "longformer_encoder(config): config.windows must have 1 or ", config.layers, " entries, has ",
                  windows);
  const auto layer = [&](Index i) {
    const Index w = config.windows[windows == 1 ? 0 : static_cast<std::size_t>(i)];
    return transformer_layer(longformer_attention<S>(config.d, heads{config.heads}, w, globals), config.hidden,
                             detail::options_of_encoder(config));
  };
  return detail::make_encoder<S>(config,
                                 positions::learned<S>(config.positions, config.d, {.first = config.padding + 1}),
                                 repeat(config.layers, layer));
}

/// Returns the names of the tensors of longformer_encoder() in files of Hugging Face transformers, with the prefix
/// "longformer." or without it.
inline TensorNames longformer_names() {
  return detail::encoder_names("longformer.", {"query", "key", "value", "key_global", "value_global", "query_global"});
}

}  // namespace filigree
