// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <string>
#include <utility>
#include <vector>

#include "filigree/encoder/sae_config.hpp"
#include "filigree/io/json.hpp"
#include "filigree/nn/layer/repeat.hpp"
#include "filigree/nn/network.hpp"
#include "filigree/transformer/embedding.hpp"
#include "filigree/transformer/positions.hpp"
#include "filigree/transformer/tensor_file.hpp"
#include "filigree/transformer/transformer_layer.hpp"

// What encoders of Hugging Face transformers with the layers of BERT share: sizes, layers and names of tensors.

namespace filigree::detail {

/// Reads the sizes of an encoder from a config.json. Missing keys have the defaults of transformers.
template <class Config>
void read_encoder_sizes(const JsonObject& json, const char* model, Config& config) {
  const auto size = [&](const char* key, Index fallback) {
    return at_least(1, json, key, fallback > 0 ? json.get<Index>(key, fallback) : json.get<Index>(key));
  };
  const auto must_be = [&](const char* key, const std::string& value) {
    const std::string given = json.get<std::string>(key, value);
    require(given == value, json.name(), ": ", in_quotes(key), " must be ", in_quotes(value), ", is ",
            in_quotes(given));
  };
  must_be("model_type", model);
  must_be("hidden_act", "gelu");
  must_be("position_embedding_type", "absolute");
  require(!json.get<bool>("is_decoder", false), json.name(), ": \"is_decoder\" must be false, is true");
  config.vocabulary = size("vocab_size", 0);
  config.types = size("type_vocab_size", 2);
  config.positions = size("max_position_embeddings", 512);
  config.d = size("hidden_size", 0);
  config.layers = size("num_hidden_layers", 0);
  config.heads = size("num_attention_heads", 0);
  config.hidden = size("intermediate_size", 0);
  config.epsilon = json.get<double>("layer_norm_eps", 1e-12);
  require(config.d % config.heads == 0, json.name(), ": \"hidden_size\" must be a multiple of ",
          "\"num_attention_heads\" = ", config.heads, ", is ", config.d);
  require(config.epsilon > 0, json.name(), ": \"layer_norm_eps\" must be positive, is ", config.epsilon);
}

template <class Config>
transformer_options options_of_encoder(const Config& config) {
  return {.norm = norm_position::post, .dropout = config.dropout, .epsilon = config.epsilon};
}

/// Makes an encoder: embeddings of words and types, positions, layer_norm, and layers.
template <Real S, class Config, class Positions, class Layers>
auto make_encoder(const Config& config, Positions positions, Layers layers) {
  return network(embedding<S>({config.vocabulary, config.types}, config.d) | std::move(positions) |
                 layer_norm<S>(config.d, config.epsilon) | std::move(layers));
}

/// Returns the names of the tensors of an encoder. `projections` are those of the first layer of attention.
inline TensorNames encoder_names(const std::string& prefix, std::vector<std::string> projections) {
  for (std::string& name : projections) name = "encoder.layer.{}.attention.self." + name;
  return {.layers = {{"embeddings.word_embeddings", "embeddings.token_type_embeddings"},
                     {"embeddings.position_embeddings"},
                     {"embeddings.LayerNorm"},
                     std::move(projections),
                     {"encoder.layer.{}.attention.output.dense"},
                     {"encoder.layer.{}.attention.output.LayerNorm"},
                     {"encoder.layer.{}.intermediate.dense"},
                     {"encoder.layer.{}.output.dense"},
                     {"encoder.layer.{}.output.LayerNorm"}},
          .prefixes = {"", prefix}};
}

}  // namespace filigree::detail
