// SPDX-License-Identifier: MIT
#include "filigree/encoder/sparsify.hpp"

#include <filigree/filigree.hpp>

#include "inputs.hpp"
#include "io/files.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;
using Weights = fg::SaeWeights<float>;

namespace {

Weights weights_for(bool skip) {
  Random random(763);
  Weights w;
  w.W_enc = test::normal<float>(random, 6, 24);
  w.W_dec = test::normal<float>(random, 24, 6);
  w.b_enc = test::normal<float>(random, 24, 1);
  w.b_dec = test::normal<float>(random, 6, 1);
  if (skip) w.W_skip = test::normal<float>(random, 6, 6);
  return w;
}

fg::SparsifyConfig config_of(const std::string& text) {
  return fg::SparsifyConfig::read(fg::parse_json(fg::Bytes::copy(text), "cfg.json"));
}
void refuses(const std::string& text, const std::string& message) {
  CHECK_THROWS_WITH(config_of(text), "filigree: cfg.json: " + message);
}

}  // namespace

TEST_CASE("autoencoders and transcoders survive a round trip through the format of sparsify") {
  for (const bool transcode : {false, true})
    for (const fg::Type type : {fg::Type::float32, fg::Type::bfloat16}) {
      CAPTURE(transcode, fg::name_of(type));
      const test::Folder folder;
      const Weights weights = weights_for(transcode);
      fg::save_sparsify(folder / "new/layer", weights,
                        {.k = 3, .transcode = transcode, .skip_connection = transcode, .dtype = type});
      const auto [config, read] = fg::load_sparsify(folder / "new/layer");
      CHECK((config.d_in == 6 && config.num_latents == 24 && config.latents() == 24 && config.k == 3));
      CHECK(config.transcode == transcode);
      CHECK(config.dtype == type);
      CHECK(read.W_skip.size() == (transcode ? 36 : 0));
      if (type == fg::Type::float32) {
        CHECK(test::same(read.W_enc, weights.W_enc));
        CHECK(test::same(read.W_dec, weights.W_dec));
        CHECK(test::same(read.b_enc, weights.b_enc));
        CHECK(test::same(read.b_dec, weights.b_dec));
        CHECK(test::same(read.W_skip, weights.W_skip));
      }
      // The file holds the transposes.
      const fg::Safetensors file = fg::load_safetensors(folder / "new/layer/sae.safetensors");
      CHECK(file["encoder.weight"].shape == std::vector<Index>{24, 6});
      CHECK(test::same(file["encoder.weight"].as<Matrix<float>>(), Matrix<float>(read.W_enc.transpose())));
      if (transcode) CHECK(test::same(file["W_skip"].as<Matrix<float>>(), Matrix<float>(read.W_skip.transpose())));

      fg::save_sparsify(folder / "copy", read, config);
      for (const std::string name : {"/cfg.json", "/sae.safetensors"})
        CHECK(test::content(folder / "copy" + name) == test::content(folder / "new/layer" + name));
    }
}

TEST_CASE("expansion_factor sets the number of latents, and unused keys are preserved") {
  const test::Folder folder;
  const std::string text = R"({"signed": false, "expansion_factor": 4, "k": 3, "d_in": 6, "more": {"lr": 1e-05}})";
  fg::SparsifyConfig config = config_of(text);
  CHECK(config.latents() == 24);
  CHECK(fg::encoder_of(config) == "pre_bias() | linear(6, 24) | top_k(3) | relu()");
  fg::save_sparsify(folder / "x", weights_for(false), config);
  CHECK(test::content(folder / "x/cfg.json") == text);
  CHECK(fg::load_sparsify(folder / "x").weights.W_enc.cols() == 24);

  config.transcode = true;
  config.k = 4;
  fg::save_sparsify(folder / "x", weights_for(false), config);
  CHECK(test::content(folder / "x/cfg.json") ==
        R"({"signed": false, "expansion_factor": 4, "k": 4, "d_in": 6, "more": {"lr": 1e-05}, "transcode": true})");
  CHECK(fg::encoder_of(config) == "linear(6, 24) | top_k(4) | relu()");

  // The keys that sparsify writes, except unused keys with default values.
  fg::save_sparsify(folder / "y", weights_for(false), {.k = 2});
  CHECK(test::content(folder / "y/cfg.json") ==
        R"({"activation": "topk", "expansion_factor": 32, "normalize_decoder": true, "num_latents": 24, "k": 2, )"
        R"("multi_topk": false, "skip_connection": false, "transcode": false, "d_in": 6})");
  config.activation = "groupmax";
  CHECK_THROWS_WITH(fg::encoder_of(config), "filigree: cfg.json: no encoder supports \"activation\": \"groupmax\"");
}

TEST_CASE("invalid configurations of sparsify and weights that do not match them are refused") {
  refuses("{}", "must have a key \"d_in\"");
  refuses(R"({"d_in": 0})", "\"d_in\" must be at least 1, is 0");
  refuses(R"({"d_in": 6, "num_latents": -1})", "\"num_latents\" must be at least 0, is -1");
  refuses(R"({"d_in": 6, "expansion_factor": 0})", "\"expansion_factor\" must be at least 1, is 0");
  refuses(R"({"d_in": 4611686018427387904})",
          "\"d_in\" * \"expansion_factor\" must fit 63 bits, is 4611686018427387904 * 32");
  refuses(R"({"d_in": 6, "num_latents": 24, "k": 25})", "\"k\" must be between 1 and 24, the number of latents, is 25");
  refuses(R"({"d_in": 6, "num_latents": 24, "k": 0})", "\"k\" must be between 1 and 24, the number of latents, is 0");
  refuses(R"({"d_in": 6, "num_latents": 24})", "must have a key \"k\": the default, 32, is more than the 24 latents");
  refuses(R"({"d_in": 6, "transcode": "yes"})", "\"transcode\" must be true or false, is \"yes\"");
  refuses(R"({"d_in": 6, "activation": true})", "\"activation\" must be a string, is true");

  const test::Folder folder;
  const std::string path = folder / "x", cfg = path + "/cfg.json", file = path + "/sae.safetensors";
  const auto loads = [&](const std::string& text, const std::string& message) {
    test::write(cfg, text);
    CHECK_THROWS_WITH(fg::load_sparsify(path), "filigree: " + file + ": " + message);
  };
  fg::save_sparsify(path, weights_for(false), {.k = 2});
  loads(R"({"d_in": 6, "k": 2})", "\"encoder.weight\": must have shape (192, 6) by " + cfg + ", has (24, 6)");
  loads(R"({"d_in": 6, "k": 2, "num_latents": 24, "skip_connection": true})",
        R"(has no array "W_skip", has "W_dec", "b_dec", "encoder.bias", "encoder.weight")");
  fg::save_sparsify(path, weights_for(true), {.k = 2, .skip_connection = true});
  loads(R"({"d_in": 6, "k": 2, "num_latents": 24})",
        "\"W_skip\": is not a tensor of the model that " + cfg + " describes");

  const auto saves = [&](const Weights& weights, const fg::SparsifyConfig& config, const std::string& message) {
    CHECK_THROWS_WITH(fg::save_sparsify(folder / "y", weights, config), "filigree: " + message);
    CHECK(folder.names() == std::vector<std::string>{"x"});
  };
  const std::string call = "save_sparsify(directory, weights, config): ";
  saves(weights_for(true), {.k = 2}, call + "W_skip must be empty, is 6 x 6");
  saves(weights_for(false), {.k = 2, .skip_connection = true}, call + "W_skip must be 6 x 6, is 0 x 0");
  saves(weights_for(false), {.d_in = 6, .k = 2}, call + "encoder.weight must be 6 x 192, is 6 x 24");
  saves(weights_for(false), {}, "config: \"k\" must be between 1 and 24, the number of latents, is 32");
  Weights jumps = weights_for(false);
  jumps.threshold = jumps.b_enc;
  saves(jumps, {.k = 2}, call + "threshold must be empty, is 24 x 1");
}

TEST_CASE("a damaged configuration of sparsify throws an error or is read consistently") {
  const test::Folder folder;
  fg::save_sparsify(folder / "x", weights_for(false), {.k = 3});
  const std::string path = folder / "x/cfg.json", text = test::content(path);
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    try {
      const fg::SparsifyConfig config = config_of(damaged);
      CHECK(fg::detail::document_of(config, "").text() == config.json.text());
    } catch (const fg::Error&) {
    }
  }
  for (std::size_t size = 0; size < text.size(); ++size) {
    test::write(path, text.substr(0, size));
    CHECK_THROWS_AS(fg::load_sparsify(folder / "x"), fg::Error);
  }
}

TEST_CASE("a model with weights from a sparsify directory computes the expected codes") {
  const test::Folder folder;
  Random random(764);
  const Matrix<float> x = test::normal<float>(random, 30, 6);
  fg::save_sparsify(folder / "x", weights_for(false), {.k = 4});
  const Weights w = fg::load_sparsify(folder / "x").weights;
  // relu before top_k, as in sparsify.
  Matrix<float> codes =
      (((x.rowwise() - w.b_dec.transpose()) * w.W_enc).rowwise() + w.b_enc.transpose()).cwiseMax(0.0F);
  for (Index i = 0; i < codes.rows(); ++i) {
    Eigen::VectorXf row = codes.row(i);
    std::nth_element(row.begin(), row.begin() + 4, row.end(), std::greater<>());
    codes.row(i) = (codes.row(i).array() > row[4]).select(codes.row(i), 0.0F);
  }
  auto sae = fg::autoencoder(fg::pre_bias() | fg::linear(6, 24) | fg::top_k(4) | fg::relu(), fg::linear(24, 6));
  fg::set_weights(sae, w);
  CHECK((sae.encode(x) - codes).norm() < 1e-5F * codes.norm());
  CHECK((sae(x) - ((codes * w.W_dec).rowwise() + w.b_dec.transpose())).norm() < 1e-4F * codes.norm());
}
