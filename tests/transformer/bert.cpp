// SPDX-License-Identifier: MIT
// The encoder of BERT: its formula, its files, and their errors.
#include "filigree/transformer/bert.hpp"

#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <map>
#include <string>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"
#include "io/files.hpp"

namespace fg = filigree;
using Catch::Matchers::Contains;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

using Tensors = std::map<std::string, Matrix<double>>;

fg::BertConfig tiny() {
  return {.vocabulary = 11, .types = 2, .positions = 7, .d = 6, .layers = 2, .heads = 3, .hidden = 5, .epsilon = 0.01};
}

/// Adds a random tensor. Vectors have one row.
void add(Tensors& tensors, Random& random, const std::string& name, Index rows, Index cols) {
  tensors[name] = test::normal<float>(random, rows, cols).cast<double>();
}

/// Returns random tensors by the names that Hugging Face transformers has for the encoder of tiny().
Tensors random_tensors() {
  Random random(1820);
  Tensors t;
  const fg::BertConfig c = tiny();
  const auto linear = [&](const std::string& name, Index in, Index out) {
    add(t, random, name + ".weight", out, in);
    add(t, random, name + ".bias", 1, out);
  };
  const auto norm = [&](const std::string& name) {
    add(t, random, name + ".weight", 1, c.d);
    add(t, random, name + ".bias", 1, c.d);
  };
  add(t, random, "embeddings.word_embeddings.weight", c.vocabulary, c.d);
  add(t, random, "embeddings.token_type_embeddings.weight", c.types, c.d);
  add(t, random, "embeddings.position_embeddings.weight", c.positions, c.d);
  norm("embeddings.LayerNorm");
  for (const std::string layer : {"encoder.layer.0.", "encoder.layer.1."}) {
    for (const std::string part : {"query", "key", "value"}) linear(layer + "attention.self." + part, c.d, c.d);
    linear(layer + "attention.output.dense", c.d, c.d);
    norm(layer + "attention.output.LayerNorm");
    linear(layer + "intermediate.dense", c.d, c.hidden);
    linear(layer + "output.dense", c.hidden, c.d);
    norm(layer + "output.LayerNorm");
  }
  return t;
}

/// Returns tensors as the arrays of a file. Names that end in "bias", and those of LayerNorm, have one dimension.
fg::Arrays arrays(const Tensors& tensors, fg::Type type = fg::Type::float32, const std::string& prefix = "") {
  fg::Arrays result;
  for (const auto& [name, tensor] : tensors) {
    const bool vector = tensor.rows() == 1;
    result.add(prefix + name, vector ? fg::array_of(Eigen::RowVectorXd(tensor), type) : fg::array_of(tensor, type));
  }
  return result;
}

/// The formula of the encoder for one text, by the tensors.
class Formula {
 public:
  explicit Formula(const Tensors& tensors) : t_(tensors) {}

  [[nodiscard]] Matrix<double> operator()(const std::vector<int>& words, const std::vector<int>& types) const {
    const Index n = static_cast<Index>(words.size());
    Matrix<double> x(n, 6);
    for (Index i = 0; i < n; ++i)
      x.row(i) = t_.at("embeddings.word_embeddings.weight").row(words[static_cast<std::size_t>(i)]) +
                 t_.at("embeddings.token_type_embeddings.weight").row(types[static_cast<std::size_t>(i)]) +
                 t_.at("embeddings.position_embeddings.weight").row(i);
    x = norm("embeddings.LayerNorm", x);
    for (const std::string layer : {"encoder.layer.0.", "encoder.layer.1."}) {
      const Matrix<double> q = linear(layer + "attention.self.query", x), k = linear(layer + "attention.self.key", x),
                           v = linear(layer + "attention.self.value", x);
      Matrix<double> heads(n, 6);
      for (Index h = 0; h < 3; ++h) {
        Matrix<double> w = q.middleCols(2 * h, 2) * k.middleCols(2 * h, 2).transpose() / std::sqrt(2.0);
        w = w.array().exp();
        w.array().colwise() /= w.rowwise().sum().array().eval();
        heads.middleCols(2 * h, 2) = w * v.middleCols(2 * h, 2);
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

TEST_CASE("an encoder that was read from a file computes the formula of BERT") {
  const test::Folder folder;
  const Tensors tensors = random_tensors();
  const std::vector<int> words = {3, 0, 10, 10, 1, 2, 5}, types = {0, 0, 1, 1, 0, 1, 0};
  Eigen::MatrixXi ids(12, 2);
  for (Index i = 0; i < 12; ++i)
    ids.row(i) << words[static_cast<std::size_t>(i % 7)], types[static_cast<std::size_t>(i % 7)];
  const Formula formula(tensors);
  const Matrix<double> expected = formula(words, types);
  const Matrix<double> shorter =
      formula({words.begin(), words.begin() + 5}, std::vector<int>(types.begin(), types.begin() + 5));
  for (const std::string prefix : {"", "bert."}) {
    fg::save_safetensors(folder / "model.safetensors", arrays(tensors, fg::Type::float32, prefix));
    auto net = fg::bert_encoder<double>(tiny());
    fg::load(net, folder / "model.safetensors", fg::bert_names());
    const Matrix<double> y = net(fg::Batch{ids, {7, 5}});
    CHECK((y.topRows(7) - expected).cwiseAbs().maxCoeff() < 1e-12);
    CHECK((y.bottomRows(5) - shorter).cwiseAbs().maxCoeff() < 1e-12);
    auto narrow = fg::bert_encoder(tiny(), fg::window(6) | fg::softmax());  // all keys of seven tokens
    fg::load(narrow, folder / "model.safetensors", fg::bert_names());
    CHECK((narrow(fg::Batch{ids, {7, 5}}).cast<double>() - y).cwiseAbs().maxCoeff() < 1e-5);
  }
}

TEST_CASE("an encoder is saved with the bytes from which it was loaded") {
  const test::Folder folder;
  const Tensors tensors = random_tensors();
  for (const fg::Type type : {fg::Type::float16, fg::Type::bfloat16, fg::Type::float32, fg::Type::float64}) {
    fg::Arrays all = arrays(tensors, type, "bert.");
    all.add("bert.embeddings.position_ids", fg::array_of(Eigen::RowVectorX<std::int64_t>::LinSpaced(7, 0, 6)));
    all.add("bert.pooler.dense.weight", fg::array_of(Eigen::MatrixXf::Random(6, 6)));
    const std::string path = folder / "model.safetensors", copy = folder / "copy.safetensors";
    fg::save_safetensors(path, all, {{"format", "pt"}});
    // The keys of the header in another order, which is valid too.
    std::string text = test::content(path);
    const std::string metadata = "\"__metadata__\":{\"format\":\"pt\"},";
    const std::size_t at = text.find(metadata), end = text.rfind("]}}");
    REQUIRE((at != text.npos && end != text.npos));
    text.insert(end + 2, "," + metadata.substr(0, metadata.size() - 1));
    text.erase(at, metadata.size());
    test::write(path, text);

    auto net = fg::bert_encoder<double>(tiny());
    fg::load(net, path, fg::bert_names());
    fg::save(net, copy, fg::bert_names(), path);
    CHECK(test::content(copy) == text);
    net.parameters()[1] += 1;  // entry (0, 1) of the words
    fg::save(net, path, fg::bert_names(), path);
    const fg::Safetensors before = fg::load_safetensors(copy), after = fg::load_safetensors(path);
    CHECK(after.metadata == before.metadata);
    REQUIRE(after.tensors.size() == before.tensors.size());
    for (const auto& [name, array] : after.tensors)
      CHECK((test::plain(array) == test::plain(before[name])) == (name != "bert.embeddings.word_embeddings.weight"));
    CHECK(after["bert.embeddings.word_embeddings.weight"].as<Eigen::MatrixXd>()(0, 1) ==
          fg::array_of(Eigen::RowVectorXd::Constant(1, net.parameters()[1]), type).as<Eigen::RowVectorXd>()[0]);
  }
}

TEST_CASE("a new file of an encoder has its tensors by their names") {
  const test::Folder folder;
  auto net = fg::bert_encoder(tiny()), same = fg::bert_encoder(tiny());
  net.parameters() = test::normal<float>(*std::make_unique<Random>(1821), net.parameters().size(), 1);
  fg::save(net, folder / "new.safetensors", fg::bert_names());
  const fg::Safetensors file = fg::load_safetensors(folder / "new.safetensors");
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}});
  const Tensors expected = random_tensors();
  REQUIRE(file.tensors.size() == expected.size());
  for (const auto& [name, tensor] : expected) {
    const Eigen::MatrixXf stored = file[name].as<Eigen::MatrixXf>();
    CHECK(stored.size() == tensor.size());
    CHECK((tensor.rows() == 1 || stored.rows() == tensor.rows()));
  }
  fg::load(same, file, fg::bert_names());
  CHECK(test::same(same.parameters(), net.parameters()));
}

TEST_CASE("a file that does not fit leaves the encoder unchanged") {
  const test::Folder folder;
  const std::string path = folder / "model.safetensors", last = "encoder.layer.1.output.LayerNorm.bias";
  auto net = fg::bert_encoder(tiny());
  const Eigen::VectorXf before = net.parameters();
  const auto check = [&](const fg::Arrays& all, const std::string& message) {
    fg::save_safetensors(path, all);
    CHECK_THROWS_WITH(fg::load(net, path, fg::bert_names()), Contains(message));
    CHECK_THROWS_WITH(fg::save(net, folder / "copy.safetensors", fg::bert_names(), path), Contains(message));
    CHECK(test::same(net.parameters(), before));
  };
  Tensors tensors = random_tensors();
  tensors.erase(last);
  check(arrays(tensors), path + ": has no array \"" + last + "\"");
  check(arrays(tensors, fg::Type::float32, "bert."), path + ": has no array \"bert." + last + "\"");
  tensors[last] = Matrix<double>::Zero(1, 5);
  check(arrays(tensors), path + ": \"" + last + "\": must have shape (6,), has (5,)");
  tensors = random_tensors();
  Matrix<double>& dense = tensors["encoder.layer.1.intermediate.dense.weight"];
  dense = dense.transpose().eval();
  check(arrays(tensors), "\"encoder.layer.1.intermediate.dense.weight\": must have shape (5, 6), has (6, 5)");
  tensors = random_tensors();
  tensors.erase(last);
  fg::Arrays integers = arrays(tensors);
  integers.add(last, fg::array_of(Eigen::RowVectorXi::Zero(6)));
  check(integers, "\"" + last + "\": must be floating point, is int32");

  fg::save_safetensors(path, arrays(random_tensors()));
  const std::string text = test::content(path);
  test::write(path, text.substr(0, text.size() - 1));
  CHECK_THROWS_WITH(fg::load(net, path, fg::bert_names()), Contains("must end between") && Contains("\"encoder."));
  test::write(path, text.substr(0, 300));
  CHECK_THROWS_WITH(fg::load(net, path, fg::bert_names()), Contains(path));
  CHECK(test::same(net.parameters(), before));
  CHECK(folder.names().size() == 1);  // no copy was written
}

TEST_CASE("names of tensors must fit the layers") {
  fg::TensorNames names = fg::bert_names();
  auto net = fg::bert_encoder(tiny());
  const fg::Arrays tensors = fg::tensors_of(net, names);
  CHECK(tensors.size() == 5 + 2 * 16);
  names.layers.pop_back();
  CHECK_THROWS_WITH(
      fg::tensors_of(net, names),
      "filigree: names.layers: the network has 15 layers with parameters, the names are those of 3 layers "
      "and a multiple of 5");
  names = fg::bert_names();
  names.layers[0] = {"words"};
  CHECK_THROWS_WITH(fg::tensors_of(net, names), "filigree: names.layers: embedding({11, 2}, 6) needs 2 names, got 1");
  names = fg::bert_names();
  names.layers[3].pop_back();
  CHECK_THROWS_WITH(fg::tensors_of(net, names), "filigree: names.layers: linear(6, 18) needs 1 or 3 names, got 2");
  names.layers[3] = {"{}.qkv"};
  CHECK(fg::tensors_of(net, names)["1.qkv.weight"].shape == std::vector<Index>{18, 6});

  // Layers before and after the repeated ones, heads that share keys, and other scalars in the file.
  const auto layers =
      fg::linear<double>(4, 8) |
      fg::repeat(3, fg::rms_norm<double>(8) | fg::attention<double>(8, fg::heads{4, 2}, fg::softmax())) |
      fg::linear<double>(8, 3);
  const fg::TensorNames own = {.layers = {{"in"}, {"norm_{}"}, {"q_{}", "k_{}", "v_{}"}, {"o_{}"}, {"out"}}};
  auto other = fg::network(layers, 7), same = fg::network(layers, 8);
  const test::Folder folder;
  fg::save(other, folder / "own.safetensors", own);
  const fg::Safetensors file = fg::load_safetensors(folder / "own.safetensors");
  CHECK(file["q_2.weight"].shape == std::vector<Index>{8, 8});
  CHECK(file["k_2.weight"].shape == std::vector<Index>{4, 8});
  CHECK(file["v_0.bias"].shape == std::vector<Index>{4});
  CHECK(file["norm_1.weight"].shape == std::vector<Index>{8});
  CHECK(file["out.weight"].shape == std::vector<Index>{3, 8});
  fg::load(same, file, own);
  CHECK(test::same(same.parameters(), other.parameters()));
  CHECK_THROWS_WITH(fg::tensors_of(fg::network(fg::linear(3, 4) | fg::jump_relu(4)), own),
                    Contains("has parameters, and files of tensors with this layer are not supported"));
  CHECK_THROWS_WITH(fg::tensors_of(fg::network(fg::linear(3, 4)), own), Contains("a multiple of 3"));
  CHECK_THROWS_WITH(
      fg::tensors_of(fg::network(fg::linear(3, 4)), {.layers = {{"a"}, {"b"}}}),
      "filigree: names.layers: the network has 1 layers with parameters, the names are those of 2 layers");
}

TEST_CASE("the projection of a memory has the names of its keys and values") {
  const auto layer = fg::cross_attention<double>(6, fg::heads{2}, fg::softmax(), {.kv = 4, .width = 5});
  auto net = fg::network(layer, 7), same = fg::network(layer, 8);
  const fg::TensorNames names = {.layers = {{"q"}, {"k", "v"}, {"o"}}};
  const test::Folder folder;
  fg::save(net, folder / "cross.safetensors", names);
  const fg::Safetensors file = fg::load_safetensors(folder / "cross.safetensors");
  CHECK(file["q.weight"].shape == std::vector<Index>{10, 6});
  CHECK(file["k.weight"].shape == std::vector<Index>{10, 4});
  CHECK(file["v.bias"].shape == std::vector<Index>{10});
  const Eigen::Map<const Matrix<double>> projection(net.parameters().data() + 6 * 10 + 10, 4, 20);
  CHECK(test::same(Matrix<double>(file["v.weight"].as<Matrix<double>>()),
                   Matrix<double>(projection.rightCols(10).transpose())));
  fg::load(same, file, names);
  CHECK(test::same(same.parameters(), net.parameters()));
  CHECK_THROWS_WITH(fg::tensors_of(net, {.layers = {{"q"}, {"k", "v", "w"}, {"o"}}}),
                    "filigree: names.layers: the projection of the memory, linear(4, 20), needs 1 or 2 names, got 3");
}

TEST_CASE("the configuration of an encoder is read and checked") {
  const test::Folder folder;
  const auto read = [&](const std::string& text) {
    test::write(folder / "config.json", text);
    return fg::BertConfig::read(fg::load_json(folder / "config.json"));
  };
  const std::string sizes =
      "\"vocab_size\": 11, \"hidden_size\": 6, \"num_hidden_layers\": 4, \"num_attention_heads\": 3, "
      "\"intermediate_size\": 5";
  const fg::BertConfig config =
      read("{" + sizes + ", \"max_position_embeddings\": 7, \"type_vocab_size\": 3, \"layer_norm_eps\": 1e-6}");
  CHECK((config.vocabulary == 11 && config.d == 6 && config.layers == 4 && config.heads == 3 && config.hidden == 5));
  CHECK((config.positions == 7 && config.types == 3 && config.epsilon == 1e-6 && config.dropout == 0));
  const fg::BertConfig defaults = read("{" + sizes + ", \"hidden_act\": \"gelu\", \"model_type\": \"bert\"}");
  CHECK((defaults.positions == 512 && defaults.types == 2 && defaults.epsilon == 1e-12));
  const auto fails = [&](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(read(text), "filigree: " + folder / "config.json" + ": " + message);
  };
  fails("{}", "must have a key \"vocab_size\"");
  fails("{" + sizes + ", \"type_vocab_size\": 0}", "\"type_vocab_size\" must be at least 1, is 0");
  fails("{" + sizes + ", \"hidden_act\": \"relu\"}", "\"hidden_act\" must be \"gelu\", is \"relu\"");
  fails("{" + sizes + ", \"model_type\": \"roberta\"}", "\"model_type\" must be \"bert\", is \"roberta\"");
  fails("{" + sizes + ", \"position_embedding_type\": \"relative_key\"}",
        "\"position_embedding_type\" must be \"absolute\", is \"relative_key\"");
  fails("{" + sizes + ", \"is_decoder\": true}", "\"is_decoder\" must be false, is true");
  fails("{" + sizes + ", \"layer_norm_eps\": 0}", "\"layer_norm_eps\" must be positive, is 0");
  std::string odd = sizes;
  odd.replace(odd.find(": 6"), 3, ": 7");
  fails("{" + odd + "}", "\"hidden_size\" must be a multiple of \"num_attention_heads\" = 3, is 7");
}
