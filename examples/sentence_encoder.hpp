// SPDX-License-Identifier: MIT
// Embeddings of texts by a pre-trained encoder that ./dev model downloads, and texts to embed.
#pragma once

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <filigree/filigree.hpp>
#include <fstream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "filigree/transformer/bert.hpp"
#include "wordpiece.hpp"

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Texts = std::vector<std::string>;

/// Returns true if a folder has a model; otherwise prints how to get one.
inline bool has_model(const std::string& folder) {
  if (std::filesystem::exists(folder + "/model.safetensors")) return true;
  std::printf("skipped: %s has no model; ./dev model downloads one into build/model\n", folder.c_str());
  return false;
}

/// The ids of texts and their numbers of tokens.
struct Tokens {
  Eigen::MatrixXi ids;  // words and types
  std::vector<Eigen::Index> lengths;
};

/// An encoder whose heads attend by a pipeline, such as softmax().
template <class Head>
class SentenceEncoder {
 public:
  SentenceEncoder(const std::string& folder, const Head& head)
      : config_(filigree::BertConfig::read(filigree::load_json(folder + "/config.json"))),
        tokenizer_(wordpiece::Tokenizer::read(folder + "/vocab.txt")),
        net_(filigree::bert_encoder(config_, head)) {
    filigree::load(net_, folder + "/model.safetensors", filigree::bert_names());
  }

  [[nodiscard]] const filigree::BertConfig& config() const { return config_; }
  [[nodiscard]] auto parameter_count() const { return net_.parameters().size(); }

  /// Returns the tokens of texts, at most as many of each as the encoder has positions.
  [[nodiscard]] Tokens tokens(const Texts& texts) const {
    std::vector<int> words;
    Tokens result;
    for (const std::string& text : texts) {
      const std::vector<int> ids = tokenizer_(text, static_cast<std::size_t>(config_.positions));
      words.insert(words.end(), ids.begin(), ids.end());
      result.lengths.push_back(static_cast<Eigen::Index>(ids.size()));
    }
    result.ids = Eigen::MatrixXi::Zero(static_cast<Eigen::Index>(words.size()), 2);
    result.ids.col(0) = Eigen::Map<const Eigen::VectorXi>(words.data(), result.ids.rows());
    return result;
  }

  /// Returns one row of length 1 for each text: the mean of the outputs of its tokens, normalized.
  [[nodiscard]] Matrix operator()(const Texts& texts) const {
    constexpr std::size_t batch = 16;  // bounds the memory
    Matrix embeddings(static_cast<Eigen::Index>(texts.size()), config_.d);
    Eigen::Index text = 0;
    for (std::size_t first = 0; first < texts.size(); first += batch) {
      const auto begin = texts.begin() + static_cast<std::ptrdiff_t>(first);
      const Tokens some =
          tokens(Texts(begin, begin + static_cast<std::ptrdiff_t>(std::min(batch, texts.size() - first))));
      const Matrix outputs = net_(filigree::Batch{some.ids, some.lengths});
      Eigen::Index row = 0;
      for (const Eigen::Index length : some.lengths) {
        embeddings.row(text++) = outputs.middleRows(row, length).colwise().mean().normalized();
        row += length;
      }
    }
    return embeddings;
  }

 private:
  filigree::BertConfig config_;
  wordpiece::Tokenizer tokenizer_;
  decltype(filigree::bert_encoder(std::declval<filigree::BertConfig>(), std::declval<const Head&>())) net_;
};

/// Passages of the license texts that Debian installs by default.
struct Passages {
  Texts texts, sources;
};

/// Returns the paragraphs of licenses. Short ones are joined with the next until they have `letters` letters.
inline Passages read_passages(const Texts& names, std::size_t letters) {
  Passages result;
  for (const std::string& name : names) {
    std::ifstream file("/usr/share/common-licenses/" + name);
    std::string passage;
    const auto end = [&](std::size_t least) {
      if (passage.size() < least) return;
      result.texts.push_back(std::exchange(passage, ""));
      result.sources.push_back(name);
    };
    for (std::string line; std::getline(file, line);) {
      const std::size_t from = line.find_first_not_of(" \t\f\r");
      if (from == std::string::npos)
        end(letters);
      else
        passage += (passage.empty() ? "" : " ") + line.substr(from);
    }
    end(1);
  }
  return result;
}

/// Returns the numbers of the rows of `embeddings` by descending similarity to a row of length 1.
inline std::vector<Eigen::Index> by_similarity(const Matrix& embeddings, const Eigen::RowVectorXf& query) {
  const Eigen::VectorXf cosines = embeddings * query.transpose();
  std::vector<Eigen::Index> order(static_cast<std::size_t>(embeddings.rows()));
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return cosines[a] > cosines[b]; });
  return order;
}
