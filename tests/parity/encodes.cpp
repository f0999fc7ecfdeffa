// SPDX-License-Identifier: MIT
//   encodes <model> <texts> <folder> [ids]
// Writes the ids and the embeddings that a model has for texts: ids.npy, lengths.npy and embeddings.npy, and a copy of
// the model's tensors. With `ids` it writes only ids and lengths. The texts are in a file, each after its number of
// bytes and a line feed.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filigree/filigree.hpp>
#include <string>
#include <vector>

#include "../../examples/wordpiece.hpp"
#include "filigree/transformer/bert.hpp"

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Integers = Eigen::Matrix<std::int64_t, Eigen::Dynamic, 1>;

int main(int count, char** arguments) try {
  if (count != 4 && count != 5) return std::puts("encodes <model> <texts> <folder> [ids]"), 1;
  const bool encodes = count == 4;
  const std::string model = arguments[1], folder = arguments[3];
  const fg::BertConfig config = fg::BertConfig::read(fg::load_json(model + "/config.json"));
  const auto tokenizer = wordpiece::Tokenizer::read(model + "/vocab.txt");
  auto net = fg::bert_encoder(config);
  fg::load(net, model + "/model.safetensors", fg::bert_names());

  const std::string file(fg::read_file(arguments[2]).text());
  std::vector<std::int64_t> ids, lengths;
  std::vector<float> embeddings;
  for (std::size_t at = 0; at < file.size();) {
    const std::size_t line = file.find('\n', at), size = std::stoul(file.substr(at, line - at));
    const std::vector<int> text = tokenizer(file.substr(line + 1, size), static_cast<std::size_t>(config.positions));
    at = line + 1 + size;
    ids.insert(ids.end(), text.begin(), text.end());
    lengths.push_back(static_cast<std::int64_t>(text.size()));
    if (!encodes) continue;
    Eigen::MatrixXi tokens = Eigen::MatrixXi::Zero(static_cast<Index>(text.size()), 2);
    tokens.col(0) = Eigen::Map<const Eigen::VectorXi>(text.data(), tokens.rows());
    const Eigen::RowVectorXf mean = net(fg::Batch{tokens, {tokens.rows()}}).colwise().mean().normalized();
    embeddings.insert(embeddings.end(), mean.data(), mean.data() + mean.size());
  }
  const Index texts = static_cast<Index>(lengths.size());
  fg::save_npy(folder + "/ids.npy", Integers(Eigen::Map<Integers>(ids.data(), static_cast<Index>(ids.size()))));
  fg::save_npy(folder + "/lengths.npy", Integers(Eigen::Map<Integers>(lengths.data(), texts)));
  if (!encodes) return 0;
  fg::save_npy(folder + "/embeddings.npy", Matrix(Eigen::Map<Matrix>(embeddings.data(), texts, config.d)));
  fg::save(net, folder + "/copy.safetensors", fg::bert_names(), model + "/model.safetensors");
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
