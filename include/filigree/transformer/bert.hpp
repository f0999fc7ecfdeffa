// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <cmath>
#include <string>
#include <utility>

#include "filigree/encoder/sae_config.hpp"
#include "filigree/io/json.hpp"
#include "filigree/nn/layer/repeat.hpp"
#include "filigree/nn/network.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/transformer/embedding.hpp"
#include "filigree/transformer/positions.hpp"
#include "filigree/transformer/tensor_file.hpp"
#include "filigree/transformer/transformer_layer.hpp"

namespace filigree {

/// The sizes of a BERT encoder. The defaults are those of BERT-base, uncased.
struct BertConfig {
  Index vocabulary = 30522;  ///< words
  Index types = 2;           ///< of tokens: 0 for the first text, 1 for the second one of a pair
  Index positions = 512;     ///< the largest number of tokens of a text
  Index d = 768;             ///< columns of the embeddings and of the outputs
  Index layers = 12;
  Index heads = 12;
  Index hidden = 3072;     ///< outputs of the first feed-forward layer
  double epsilon = 1e-12;  ///< of layer_norm
  double dropout = 0;      ///< of transformer_layer(), in training; a file does not set it

  /// Reads the keys of a config.json of Hugging Face transformers: BertConfig::read(load_json("config.json")).
  ///
  /// Throws     Error that names the key if a size is missing or out of range; and if the model is not one that
  ///            bert_encoder() makes: another "model_type", "hidden_act" or "position_embedding_type", or a decoder
  static BertConfig read(const JsonObject& json) {
    const auto size = [&](const char* key, Index fallback) {
      return detail::at_least(1, json, key, fallback > 0 ? json.get<Index>(key, fallback) : json.get<Index>(key));
    };
    const auto must_be = [&](const char* key, const std::string& value) {
      const std::string given = json.get<std::string>(key, value);
      detail::require(given == value, json.name(), ": ", detail::in_quotes(key), " must be ", detail::in_quotes(value),
                      ", is ", detail::in_quotes(given));
    };
    must_be("model_type", "bert");
    must_be("hidden_act", "gelu");
    must_be("position_embedding_type", "absolute");
    detail::require(!json.get<bool>("is_decoder", false), json.name(), ": \"is_decoder\" must be false, is true");
    BertConfig config;
    config.vocabulary = size("vocab_size", 0);
    config.types = size("type_vocab_size", 2);
    config.positions = size("max_position_embeddings", 512);
    config.d = size("hidden_size", 0);
    config.layers = size("num_hidden_layers", 0);
    config.heads = size("num_attention_heads", 0);
    config.hidden = size("intermediate_size", 0);
    config.epsilon = json.get<double>("layer_norm_eps", 1e-12);
    detail::require(config.d % config.heads == 0, json.name(), ": \"hidden_size\" must be a multiple of ",
                    "\"num_attention_heads\" = ", config.heads, ", is ", config.d);
    detail::require(config.epsilon > 0, json.name(), ": \"layer_norm_eps\" must be positive, is ", config.epsilon);
    return config;
  }
};

/// Makes the encoder of BERT with random parameters: bert_encoder(config, window(64) | softmax()).
///
/// `head` is a pipeline on the scores, or a function of the head that returns one, as in attention(). Without it, or
/// with softmax(), the result is the encoder of the paper. load(encoder, path, bert_names()) reads its parameters.
/// Shapes     ids: N x 2, a word and a type in each row, of one text or a Batch of texts; result: N x d, the last
///            hidden states
/// Throws     Error if a size is out of range; in a pass, if an id is, or a text has more tokens than positions
/// Reference  Devlin et al., arXiv:1810.04805, section 3
template <Real S = float, class Head>
auto bert_encoder(const BertConfig& config, Head&& head) {
  return network(
      embedding<S>({config.vocabulary, config.types}, config.d) | positions::learned<S>(config.positions, config.d) |
      layer_norm<S>(config.d, config.epsilon) |
      repeat(config.layers, transformer_layer<S>(
                                config.d, filigree::heads{config.heads}, config.hidden, std::forward<Head>(head),
                                {.norm = norm_position::post, .dropout = config.dropout, .epsilon = config.epsilon})));
}

/// Makes the encoder of the paper, with softmax().
template <Real S = float>
auto bert_encoder(const BertConfig& config) {
  return bert_encoder<S>(config, softmax());
}

/// Returns the names of the tensors of bert_encoder() in files of Hugging Face transformers, with or without the prefix
/// of the whole model.
inline TensorNames bert_names() {
  return {.layers = {{"embeddings.word_embeddings", "embeddings.token_type_embeddings"},
                     {"embeddings.position_embeddings"},
                     {"embeddings.LayerNorm"},
                     {"encoder.layer.{}.attention.self.query", "encoder.layer.{}.attention.self.key",
                      "encoder.layer.{}.attention.self.value"},
                     {"encoder.layer.{}.attention.output.dense"},
                     {"encoder.layer.{}.attention.output.LayerNorm"},
                     {"encoder.layer.{}.intermediate.dense"},
                     {"encoder.layer.{}.output.dense"},
                     {"encoder.layer.{}.output.LayerNorm"}},
          .prefixes = {"", "bert."}};
}

}  // namespace filigree
