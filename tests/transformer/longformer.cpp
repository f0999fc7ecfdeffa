// SPDX-License-Identifier: MIT
// The encoder of Longformer: its formula, its files, and their errors.
#include "filigree/transformer/longformer.hpp"

#include <cmath>
#include <filigree/filigree.hpp>
#include <map>
#include <string>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"
#include "io/files.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

using Tensors = std::map<std::string, Matrix<double>>;

fg::LongformerConfig tiny() {
  return {.vocabulary = 11,
          .types = 2,
          .positions = 13,
          .padding = 3,
          .d = 6,
          .layers = 2,
          .heads = 3,
          .hidden = 5,
          .windows = {2, 4},
          .epsilon = 0.01};
}

/// Returns random tensors by the names that Hugging Face transformers has for the encoder of tiny().
Tensors random_tensors() {
  Random random(1850);
  Tensors t;
  const fg::LongformerConfig c = tiny();
  const auto add = [&](const std::string& name, Index rows, Index cols) {
    t[name] = test::normal<float>(random, rows, cols).cast<double>();
  };
  const auto linear = [&](const std::string& name, Index in, Index out) {
    add(name + ".weight", out, in);
    add(name + ".bias", 1, out);
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".weight", 1, c.d);
    add(name + ".bias", 1, c.d);
  };
  add("embeddings.word_embeddings.weight", c.vocabulary, c.d);
  add("embeddings.token_type_embeddings.weight", c.types, c.d);
  add("embeddings.position_embeddings.weight", c.positions, c.d);
  norm("embeddings.LayerNorm");
  for (const std::string layer : {"encoder.layer.0.", "encoder.layer.1."}) {
    for (const std::string part : {"query", "key", "value", "query_global", "key_global", "value_global"})
      linear(layer + "attention.self." + part, c.d, c.d);
    linear(layer + "attention.output.dense", c.d, c.d);
    norm(layer + "attention.output.LayerNorm");
    linear(layer + "intermediate.dense", c.d, c.hidden);
    linear(layer + "output.dense", c.hidden, c.d);
    norm(layer + "output.LayerNorm");
  }
  return t;
}

fg::Arrays arrays(const Tensors& tensors, fg::Type type = fg::Type::float32, const std::string& prefix = "") {
  fg::Arrays result;
  for (const auto& [name, tensor] : tensors)
    result.add(prefix + name,
               tensor.rows() == 1 ? fg::array_of(Eigen::RowVectorXd(tensor), type) : fg::array_of(tensor, type));
  return result;
}

/// The formula of the encoder for one text, by the tensors. Token 0 is global.
class Formula {
 public:
  explicit Formula(const Tensors& tensors) : t_(tensors) {}

  [[nodiscard]] Matrix<double> operator()(const Eigen::MatrixXi& ids) const {
    const Index n = ids.rows();
    Matrix<double> x(n, 6);
    for (Index i = 0; i < n; ++i)
      x.row(i) = t_.at("embeddings.word_embeddings.weight").row(ids(i, 0)) +
                 t_.at("embeddings.token_type_embeddings.weight").row(ids(i, 1)) +
                 t_.at("embeddings.position_embeddings.weight").row(4 + i);
    x = norm("embeddings.LayerNorm", x);
    for (Index l = 0; l < 2; ++l) {
      const std::string layer = "encoder.layer." + std::to_string(l) + ".", self = layer + "attention.self.";
      const Matrix<double> q = linear(self + "query", x), k = linear(self + "key", x), v = linear(self + "value", x),
                           q_g = linear(self + "query_global", x), k_g = linear(self + "key_global", x),
                           v_g = linear(self + "value_global", x);
      Matrix<double> heads = Matrix<double>::Zero(n, 6);
      for (Index h = 0; h < 3; ++h)
        for (Index i = 0; i < n; ++i) {
          double total = 0;
          for (Index j = 0; j < n; ++j) {
            if (i != 0 && j != 0 && std::abs(i - j) > l + 1) continue;  // windows of 2 and 4 keys
            const auto query = (i == 0 ? q_g : q).row(i).segment(2 * h, 2),
                       key = (i == 0 ? k_g : k).row(j).segment(2 * h, 2);
            const double w = std::exp(query.dot(key) / std::sqrt(2.0));
            total += w;
            heads.row(i).segment(2 * h, 2) += w * (i == 0 ? v_g : v).row(j).segment(2 * h, 2);
          }
          heads.row(i).segment(2 * h, 2) /= total;
        }
      x = norm(layer + "attention.output.LayerNorm", x + linear(layer + "attention.output.dense", heads));
      const Matrix<double> gelu = linear(layer + "intermediate.dense", x).unaryExpr([](double z) {
        return z * std::erfc(-z / std::sqrt(2.0)) / 2;
      });
      x = norm(layer + "output.LayerNorm", x + linear(layer + "output.dense", gelu));
    }
    return x;
  }

 private:
  [[nodiscard]] Matrix<double> linear(const std::string& name, const Matrix<double>& x) const {
    return (x * t_.at(name + ".weight").transpose()).rowwise() + t_.at(name + ".bias").row(0);
  }
  [[nodiscard]] Matrix<double> norm(const std::string& name, const Matrix<double>& x) const {
    Matrix<double> y = x;
    for (Index i = 0; i < x.rows(); ++i) {
      const Eigen::RowVectorXd centered = x.row(i).array() - x.row(i).mean();
      y.row(i) =
          (centered / std::sqrt(centered.squaredNorm() / 6 + 0.01)).cwiseProduct(t_.at(name + ".weight").row(0)) +
          t_.at(name + ".bias").row(0);
    }
    return y;
  }

  const Tensors& t_;
};

}  // namespace

TEST_CASE("an encoder that was read from a file computes the formula of Longformer") {
  const test::Folder folder;
  const Tensors tensors = random_tensors();
  Random random(1851);
  Eigen::MatrixXi ids(15, 2);
  for (Index i = 0; i < 15; ++i) ids.row(i) << static_cast<int>(random.between(0, 10)), static_cast<int>(i % 2);
  const Formula formula(tensors);
  for (const std::string prefix : {"", "longformer."}) {
    fg::save_safetensors(folder / "model.safetensors", arrays(tensors, fg::Type::float32, prefix));
    auto net = fg::longformer_encoder<double>(tiny());
    fg::load(net, folder / "model.safetensors", fg::longformer_names());
    const Matrix<double> y = net(fg::Batch{ids, {9, 1, 5}});
    CHECK((y.topRows(9) - formula(ids.topRows(9))).cwiseAbs().maxCoeff() < 1e-12);
    CHECK((y.row(9) - formula(ids.middleRows(9, 1))).cwiseAbs().maxCoeff() < 1e-12);
    CHECK((y.bottomRows(5) - formula(ids.bottomRows(5))).cwiseAbs().maxCoeff() < 1e-12);
    CHECK_THROWS_WITH(net(fg::Batch{ids, {10, 5}}),
                      "filigree: positions::learned(13, 6): a sequence has 10 tokens, more than the 9 positions");
  }
}

TEST_CASE("an encoder of Longformer is saved with the bytes from which it was loaded") {
  const test::Folder folder;
  const Tensors tensors = random_tensors();
  for (const fg::Type type : {fg::Type::float16, fg::Type::float32}) {
    fg::Arrays all = arrays(tensors, type, "longformer.");
    all.add("longformer.pooler.dense.weight", fg::array_of(Eigen::MatrixXf::Random(6, 6)));
    const std::string path = folder / "model.safetensors", copy = folder / "copy.safetensors";
    fg::save_safetensors(path, all, {{"format", "pt"}});
    auto net = fg::longformer_encoder(tiny());
    fg::load(net, path, fg::longformer_names());
    fg::save(net, copy, fg::longformer_names(), path);
    CHECK(test::content(copy) == test::content(path));
  }
  auto net = fg::longformer_encoder(tiny());
  const fg::Arrays written = fg::tensors_of(net, fg::longformer_names());
  REQUIRE(static_cast<std::size_t>(written.size()) == tensors.size());
  for (const auto& [name, tensor] : tensors)
    CHECK(static_cast<Index>(written[name].as<Eigen::MatrixXf>().size()) == tensor.size());
  fg::TensorNames names = fg::longformer_names();
  names.layers[3].pop_back();
  CHECK_THROWS_WITH(fg::tensors_of(net, names),
                    "filigree: names.layers: longformer_attention(6, heads{3}, 2, {0}) needs 1 or 6 names, got 5");
}

TEST_CASE("the configuration of an encoder of Longformer is read and checked") {
  const test::Folder folder;
  const auto read = [&](const std::string& text) {
    test::write(folder / "config.json", text);
    return fg::LongformerConfig::read(fg::load_json(folder / "config.json"));
  };
  const std::string sizes =
      "\"vocab_size\": 11, \"hidden_size\": 6, \"num_hidden_layers\": 2, \"num_attention_heads\": 3, "
      "\"intermediate_size\": 5";
  const fg::LongformerConfig config =
      read("{" + sizes +
           ", \"max_position_embeddings\": 13, \"type_vocab_size\": 1, \"layer_norm_eps\": 1e-6, \"pad_token_id\": 3, "
           "\"attention_window\": [2, 4], \"model_type\": \"longformer\"}");
  CHECK((config.vocabulary == 11 && config.d == 6 && config.layers == 2 && config.heads == 3 && config.hidden == 5));
  CHECK((config.positions == 13 && config.types == 1 && config.epsilon == 1e-6 && config.padding == 3));
  CHECK(config.windows == std::vector<Index>{2, 4});
  const fg::LongformerConfig defaults = read("{" + sizes + "}");
  CHECK((defaults.positions == 512 && defaults.types == 2 && defaults.epsilon == 1e-12 && defaults.padding == 1));
  CHECK(defaults.windows == std::vector<Index>{512});
  CHECK(read("{" + sizes + ", \"attention_window\": 64}").windows == std::vector<Index>{64});
  const auto fails = [&](const std::string& more, const std::string& message) {
    CHECK_THROWS_WITH(read("{" + sizes + ", " + more + "}"), "filigree: " + folder / "config.json" + ": " + message);
  };
  fails("\"model_type\": \"bert\"", "\"model_type\" must be \"longformer\", is \"bert\"");
  fails("\"attention_window\": 3", "\"attention_window\" must be even and at least 2, is 3");
  fails("\"attention_window\": [2, 0]", "\"attention_window\" must be even and at least 2, is 0");
  fails("\"attention_window\": [2]", "\"attention_window\" must have a number for each of the 2 layers, has 1");
  fails("\"attention_window\": [2, \"4\"]", "\"attention_window\" must be whole numbers, has \"4\"");
  fails("\"attention_window\": \"4\"", "\"attention_window\" must be a whole number of at most 63 bits, is \"4\"");
  fails("\"pad_token_id\": -1", "\"pad_token_id\" must be at least 0, is -1");
  fails("\"pad_token_id\": 6, \"max_position_embeddings\": 7",
        "\"max_position_embeddings\" must be at least \"pad_token_id\" + 2, is 7");
  fg::LongformerConfig odd = tiny();
  odd.windows = {2, 2, 2};
  CHECK_THROWS_WITH(fg::longformer_encoder(odd),
                    "filigree: longformer_encoder(config): config.windows must have 1 or 2 entries, has 3");
}
