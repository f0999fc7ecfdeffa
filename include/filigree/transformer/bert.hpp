// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <utility>

#include "filigree/normalize/softmax.hpp"
#include "filigree/transformer/encoder_file.hpp"

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
    BertConfig config;
    detail::read_encoder_sizes(json, "bert", config);
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
  return detail::make_encoder<S>(
      config, positions::learned<S>(config.positions, config.d),
      repeat(config.layers, transformer_layer<S>(config.d, filigree::heads{config.heads}, config.hidden,
                                                 std::forward<Head>(head), detail::options_of_encoder(config))));
}

/// Makes the encoder of BERT with softmax().
template <Real S = float>
auto bert_encoder(const BertConfig& config) {
  return bert_encoder<S>(config, softmax());
}

/// Returns the names of the tensors of bert_encoder() in files of Hugging Face transformers, with the prefix "bert." or
/// without it.
inline TensorNames bert_names() { return detail::encoder_names("bert.", {"query", "key", "value"}); }

}  // namespace filigree
