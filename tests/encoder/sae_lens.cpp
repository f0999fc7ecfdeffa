// SPDX-License-Identifier: MIT
#include "filigree/encoder/sae_lens.hpp"

#include <filigree/filigree.hpp>

#include "inputs.hpp"
#include "io/files.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;
using Weights = fg::SaeWeights<float>;

namespace {

Weights weights_for(const std::string& architecture, Index in = 6, Index latents = 20, Index out = 6) {
  Random random(761);
  const auto vector = [&](Index n) { return Eigen::VectorXf(test::normal<float>(random, n, 1)); };
  Weights w;
  w.W_enc = test::normal<float>(random, in, latents);
  w.W_dec = test::normal<float>(random, latents, out);
  w.b_enc = vector(latents);
  w.b_dec = vector(out);
  if (architecture.starts_with("jumprelu")) w.threshold = vector(latents).array().exp();
  if (architecture == "gated") w.r_mag = vector(latents), w.b_mag = vector(latents);
  if (architecture.ends_with("skip_transcoder")) w.W_skip = test::normal<float>(random, in, out);
  return w;
}

void check_same(const Weights& a, const Weights& b) {
  CHECK(test::same(a.W_enc, b.W_enc));
  CHECK(test::same(a.W_dec, b.W_dec));
  CHECK(test::same(a.b_enc, b.b_enc));
  CHECK(test::same(a.b_dec, b.b_dec));
  CHECK(test::same(a.threshold, b.threshold));
  CHECK(test::same(a.r_mag, b.r_mag));
  CHECK(test::same(a.b_mag, b.b_mag));
  CHECK(test::same(a.W_skip, b.W_skip));
}

fg::SaeLensConfig config_of(const std::string& text) {
  return fg::SaeLensConfig::read(fg::parse_json(fg::Bytes::copy(text), "cfg.json"));
}
std::string encoder_of(const std::string& keys) {
  return fg::encoder_of(config_of(R"({"d_in": 6, "d_sae": 20)" + keys + "}"));
}

void refuses(const std::string& text, const std::string& message) {
  CHECK_THROWS_WITH(config_of(text), "filigree: cfg.json: " + message);
}

Matrix<float> affine(const Matrix<float>& x, const Matrix<float>& w, const Eigen::VectorXf& b) {
  return (x * w).rowwise() + b.transpose();
}

}  // namespace

TEST_CASE("every kind of autoencoder survives a round trip through the format of SAELens") {
  for (const std::string kind :
       {"standard", "topk", "jumprelu", "gated", "transcoder", "skip_transcoder", "jumprelu_skip_transcoder"}) {
    CAPTURE(kind);
    const test::Folder folder;
    const bool transcoder = kind.ends_with("transcoder");
    const Weights weights = weights_for(kind, 6, 20, transcoder ? 9 : 6);
    fg::save_sae_lens(folder / "new/layer", weights,
                      {.architecture = kind, .k = 5, .apply_b_dec_to_input = !transcoder});
    const auto [config, read] = fg::load_sae_lens(folder / "new/layer");
    check_same(read, weights);
    CHECK(config.architecture == kind);
    CHECK((config.d_in == 6 && config.d_sae == 20 && config.d_out == (transcoder ? 9 : 6)));
    CHECK(config.apply_b_dec_to_input == !transcoder);
    if (kind == "topk") CHECK(config.k == 5);

    // Writing what was read gives the same bytes.
    fg::save_sae_lens(folder / "copy", read, config);
    for (const std::string name : {"/cfg.json", "/sae_weights.safetensors"})
      CHECK(test::content(folder / "copy" + name) == test::content(folder / "new/layer" + name));
  }
}

TEST_CASE("weights are written in the type that the configuration names") {
  const test::Folder folder;
  const Weights weights = weights_for("standard");
  for (const fg::Type type : {fg::Type::float16, fg::Type::bfloat16, fg::Type::float32, fg::Type::float64}) {
    fg::save_sae_lens(folder / "x", weights, {.dtype = type});
    CHECK(fg::load_safetensors(folder / "x/sae_weights.safetensors")["W_enc"].type == type);
    const auto [config, read] = fg::load_sae_lens<double>(folder / "x");
    CHECK(config.dtype == type);
    CHECK(config.json.get<std::string>("dtype") == fg::name_of(type));
    const double error = (read.W_enc - weights.W_enc.cast<double>()).cwiseAbs().maxCoeff();
    CHECK(error <= (type == fg::Type::bfloat16 ? 0.02 : type == fg::Type::float16 ? 2e-3 : 0));
  }
}

TEST_CASE("tensors of a directory that was read keep their types") {
  const test::Folder folder;
  const Weights weights = weights_for("jumprelu");
  fg::save_sae_lens(folder / "x", weights, {.architecture = "jumprelu", .dtype = fg::Type::bfloat16});
  fg::Arrays mixed;
  for (const auto& [name, array] : fg::load_safetensors(folder / "x/sae_weights.safetensors").tensors)
    mixed.add(name, name == "threshold" ? fg::array_of(weights.threshold) : array);
  fg::save_safetensors(folder / "x/sae_weights.safetensors", mixed);

  const auto [config, read] = fg::load_sae_lens<float>(folder / "x");
  CHECK(config.dtype == fg::Type::bfloat16);
  CHECK(test::same(read.threshold, weights.threshold));
  fg::save_sae_lens(folder / "y", read, config);
  for (const std::string file : {"/sae_weights.safetensors", "/cfg.json"})
    CHECK(test::content(folder / "y" + file) == test::content(folder / "x" + file));
}

TEST_CASE("unused keys and old spellings of unchanged values are preserved") {
  const test::Folder folder;
  const std::string old =
      R"({"architecture": "standard", "d_in": 6, "d_sae": 20, "dtype": "torch.float32", "device": "cuda", )"
      R"("hook_layer": 8, "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4}, "lr": 1e-05, )"
      R"("prepend_bos": true, "normalize_activations": false, "model_from_pretrained_kwargs": {"a": [null]}})";
  fg::SaeLensConfig config = config_of(old);
  CHECK(fg::encoder_of(config) == "pre_bias() | linear(6, 20) | top_k(4) | relu()");
  fg::save_sae_lens(folder / "x", weights_for("topk"), config);
  CHECK(test::content(folder / "x/cfg.json") == old);

  config.apply_b_dec_to_input = false;
  config.dtype = fg::Type::bfloat16;
  fg::save_sae_lens(folder / "x", weights_for("topk"), config);
  std::string changed = old;
  changed.replace(changed.find("torch.float32"), 13, "bfloat16");
  changed.insert(changed.size() - 1, R"(, "apply_b_dec_to_input": false)");
  CHECK(test::content(folder / "x/cfg.json") == changed);

  // The old key takes precedence over the new one.
  config.k = 5;
  CHECK_THROWS_WITH(fg::save_sae_lens(folder / "x", weights_for("topk"), config),
                    "filigree: save_sae_lens(directory, weights, config): config.k is 5, but the other keys of "
                    "config.json set it to 4");
  config.k = 4;
  config.architecture = "jumprelu";
  CHECK_THROWS_WITH(fg::save_sae_lens(folder / "x", weights_for("jumprelu"), config),
                    "filigree: save_sae_lens(directory, weights, config): config.activation_fn is \"relu\", but the "
                    "other keys of config.json set it to \"topk\"");
  CHECK(test::content(folder / "x/cfg.json") == changed);
  config.architecture = "topk";
  config.k = 5;
  config.json.erase("activation_fn_str");
  config.json.erase("activation_fn_kwargs");
  fg::save_sae_lens(folder / "x", weights_for("topk"), config);
  CHECK(fg::encoder_of(fg::load_sae_lens(folder / "x").config) == "linear(6, 20) | top_k(5) | relu()");

  fg::SaeLensConfig other = config_of(R"({"d_in": 6, "d_sae": 20, "activation_fn": "tanh-relu"})");
  other.activation_fn = "relu";
  fg::save_sae_lens(folder / "z", weights_for("standard"), other);
  CHECK(fg::load_sae_lens(folder / "z").config.activation_fn == "relu");

  fg::SaeLensConfig fresh{.architecture = "topk", .k = 3};
  fresh.json.set("metadata", fg::JsonObject("m", {{"hook_name", "\"blocks.8\""}}));
  fg::save_sae_lens(folder / "y", weights_for("topk"), fresh);
  CHECK(test::content(folder / "y/cfg.json") ==
        R"({"metadata": {"hook_name": "blocks.8"}, "d_in": 6, "d_sae": 20, "dtype": "float32", )"
        R"("apply_b_dec_to_input": true, "normalize_activations": "none", "k": 3, )"
        R"("rescale_acts_by_decoder_norm": false, "architecture": "topk"})");
}

TEST_CASE("encoder_of returns the encoder of each supported architecture and refuses the others") {
  CHECK(encoder_of("") == "pre_bias() | linear(6, 20) | relu()");
  CHECK(encoder_of(R"(, "apply_b_dec_to_input": false, "architecture": "standard")") == "linear(6, 20) | relu()");
  CHECK(encoder_of(R"(, "architecture": "topk", "k": 20)") == "pre_bias() | linear(6, 20) | top_k(20) | relu()");
  CHECK(encoder_of(R"(, "architecture": "topk", "activation_fn": "topk", "activation_fn_kwargs": {"k": 2})") ==
        "pre_bias() | linear(6, 20) | top_k(2) | relu()");
  CHECK(encoder_of(R"(, "architecture": "jumprelu")") == "pre_bias() | linear(6, 20) | jump_relu(20)");
  CHECK(encoder_of(R"(, "architecture": "gated")") == "pre_bias() | gated(6, 20)");
  CHECK(encoder_of(R"(, "architecture": "skip_transcoder", "d_out": 9, "apply_b_dec_to_input": false)") ==
        "linear(6, 20) | relu()");
  const auto none = [](const std::string& keys, const std::string& message) {
    CHECK_THROWS_WITH(encoder_of(keys), "filigree: cfg.json: no encoder supports " + message);
  };
  none(R"(, "normalize_activations": "layer_norm")", R"("normalize_activations": "layer_norm")");
  none(R"(, "normalize_activations": true)", R"("normalize_activations": "expected_average_only_in")");
  none(R"(, "architecture": "temporal")", R"("architecture": "temporal")");
  none(R"(, "architecture": "batchtopk", "k": 64.5)", R"("architecture": "batchtopk")");
  none(R"(, "architecture": "abstopk", "k": 3)", R"("architecture": "abstopk")");
  none(R"(, "activation_fn": "tanh-relu")", R"("activation_fn": "tanh-relu")");
  CHECK_THROWS_WITH(encoder_of(R"(, "activation_fn": "topk")"),
                    "filigree: cfg.json: the activation function \"topk\" needs its k: "
                    R"({"activation_fn_kwargs": {"k": ...}})");
  none(R"(, "architecture": "topk", "k": 3, "rescale_acts_by_decoder_norm": true)",
       R"("rescale_acts_by_decoder_norm": true; call fold_decoder_norms(file) first)");
}

TEST_CASE("invalid configurations are refused") {
  refuses("{}", "must have a key \"d_in\"");
  refuses(R"({"d_in": 6})", "must have a key \"d_sae\"");
  refuses(R"({"d_in": 0, "d_sae": 20})", "\"d_in\" must be at least 1, is 0");
  refuses(R"({"d_in": 6, "d_sae": -20})", "\"d_sae\" must be at least 1, is -20");
  refuses(R"({"d_in": 6.0, "d_sae": 20})", "\"d_in\" must be a whole number of at most 63 bits, is 6.0");
  refuses(R"({"d_in": 6, "d_sae": 9223372036854775808})",
          "\"d_sae\" must be a whole number of at most 63 bits, is 9223372036854775808");
  const std::string sizes = R"({"d_in": 6, "d_sae": 20, )";
  refuses(sizes + R"("dtype": "float8"})",
          R"("dtype" must be "float16", "bfloat16", "float32" or "float64", is "float8")");
  refuses(sizes + R"("architecture": 7})", "\"architecture\" must be a string, is 7");
  refuses(sizes + R"("architecture": "topk", "k": 21})",
          "\"k\" must be between 1 and 20, the number of latents, is 21");
  refuses(sizes + R"("architecture": "topk", "k": "3"})", "\"k\" must be a whole number of at most 63 bits, is \"3\"");
  refuses(sizes + R"("architecture": "topk"})", "must have a key \"k\": the default, 100, is more than the 20 latents");
  refuses(sizes + R"("activation_fn_kwargs": []})", "\"activation_fn_kwargs\" must be an object, is []");
  refuses(sizes + R"("architecture": "transcoder", "apply_b_dec_to_input": false})", "must have a key \"d_out\"");
  refuses(sizes + R"("architecture": "transcoder", "d_out": 6})",
          "\"apply_b_dec_to_input\" must be false for a transcoder");
  refuses(sizes + R"("apply_b_dec_to_input": 1})", "\"apply_b_dec_to_input\" must be true or false, is 1");
  refuses(sizes + R"("normalize_activations": 3})", "\"normalize_activations\" must be a string, is 3");
}

TEST_CASE("load_sae_lens refuses weights that do not match the configuration") {
  const test::Folder folder;
  const std::string path = folder / "x", cfg = path + "/cfg.json", file = path + "/sae_weights.safetensors";
  const auto loads = [&](const std::string& message) {
    CHECK_THROWS_WITH(fg::load_sae_lens(path), "filigree: " + file + ": " + message);
  };
  fg::save_sae_lens(path, weights_for("standard"));
  test::write(cfg, R"({"d_in": 20, "d_sae": 6})");
  loads("\"W_enc\": must have shape (20, 6) by " + cfg + ", has (6, 20)");
  test::write(cfg, R"({"d_in": 4611686018427387904, "d_sae": 4611686018427387904})");
  loads("\"W_enc\": must have shape (4611686018427387904, 4611686018427387904) by " + cfg + ", has (6, 20)");
  test::write(cfg, R"({"d_in": 6, "d_sae": 20, "architecture": "jumprelu"})");
  loads(R"(has no array "threshold", has "W_dec", "W_enc", "b_dec", "b_enc")");
  test::write(cfg, R"({"d_in": 6, "d_sae": 20})");
  CHECK(fg::load_sae_lens(path).config.architecture == "standard");

  const Weights weights = weights_for("standard");
  fg::Arrays arrays{{"W_enc", fg::array_of(weights.W_enc)},
                    {"W_dec", fg::array_of(weights.W_dec)},
                    {"b_enc", fg::array_of(weights.b_enc)},
                    {"b_dec", fg::array_of(weights.b_dec)}};
  fg::Arrays more = arrays;
  more.add("scaling_factor", fg::array_of(Eigen::VectorXf::Ones(20)));
  fg::save_safetensors(file, more);
  check_same(fg::load_sae_lens(path).weights, weights);
  more = arrays;
  more.add("scaling_factor", fg::array_of(Eigen::VectorXf::Constant(20, 1.5F)));
  fg::save_safetensors(file, more);
  loads("\"scaling_factor\": must be 1 everywhere, since it is not applied");
  more = arrays;
  more.add("threshold", fg::array_of(weights.b_enc));
  fg::save_safetensors(file, more);
  loads("\"threshold\": is not a tensor of the model that " + cfg + " describes");
  fg::save_safetensors(file, {{"W_enc", fg::array_of(Eigen::MatrixXi::Ones(6, 20))}});
  loads("\"W_enc\": must be floating point, is int32");
  CHECK_THROWS_WITH(fg::load_sae_lens(folder / "none"), contains("none/cfg.json: cannot be opened"));
}

TEST_CASE("save_sae_lens writes nothing if the weights do not match the configuration") {
  const test::Folder folder;
  const auto saves = [&](const Weights& weights, const fg::SaeLensConfig& config, const std::string& message) {
    CHECK_THROWS_WITH(fg::save_sae_lens(folder / "x", weights, config), "filigree: " + message);
    CHECK(folder.names().empty());
  };
  const std::string call = "save_sae_lens(directory, weights, config): ";
  const Weights weights = weights_for("standard");
  saves(weights, {.d_in = 7}, call + "W_enc must be 7 x 20, is 6 x 20");
  saves(weights, {.architecture = "topk"}, "config: \"k\" must be between 1 and 20, the number of latents, is 100");
  saves(weights, {.architecture = "jumprelu"}, call + "threshold must be 20 x 1, is 0 x 1");
  saves(weights_for("gated"), {}, call + "r_mag must be empty, is 20 x 1");
  saves(weights_for("skip_transcoder"), {}, call + "W_skip must be empty, is 6 x 6");
  saves(weights, {.architecture = "\xFF"}, "object.set(key, value): \"\xFF\" must be UTF-8");
  saves(weights, {.dtype = fg::Type::int8},
        R"(config: "dtype" must be "float16", "bfloat16", "float32" or "float64", is "int8")");
  saves(Weights(), {}, "config: \"d_in\" must be at least 1, is 0");
  Weights wrong = weights;
  wrong.b_dec.resize(5);
  saves(wrong, {}, call + "b_dec must be 6 x 1, is 5 x 1");
  test::write(folder / "x", "a file");
  CHECK_THROWS_WITH(fg::save_sae_lens(folder / "x", weights), contains("x: cannot create this directory: "));
  CHECK_THROWS_WITH(fg::save_sae_lens(folder / "x/y", weights), contains("x/y: cannot create this directory: "));
}

TEST_CASE("a damaged configuration throws an error or is read consistently") {
  const test::Folder folder;
  fg::save_sae_lens(folder / "x", weights_for("topk"), {.architecture = "topk", .k = 3});
  const std::string path = folder / "x/cfg.json", text = test::content(path);
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    try {
      const fg::SaeLensConfig config = config_of(damaged);
      CHECK(fg::detail::document_of(config, "").text() == config.json.text());
    } catch (const fg::Error&) {
    }
  }
  for (std::size_t size = 0; size < text.size(); ++size) {
    test::write(path, text.substr(0, size));
    CHECK_THROWS_AS(fg::load_sae_lens(folder / "x"), fg::Error);
  }
}

TEST_CASE("models with weights from a SAELens directory compute the expected codes") {
  const test::Folder folder;
  Random random(762);
  const Matrix<float> x = test::normal<float>(random, 30, 6);
  const auto load = [&](const std::string& kind) {
    const Weights weights = weights_for(kind);
    fg::save_sae_lens(folder / kind, weights,
                      {.architecture = kind, .k = 4, .apply_b_dec_to_input = kind != "jumprelu"});
    return fg::load_sae_lens(folder / kind);
  };
  const auto check = [&](auto sae, const Weights& w, const Matrix<float>& codes) {
    fg::set_weights(sae, w);
    CHECK((sae.encode(x) - codes).norm() < 1e-5F * codes.norm());
    CHECK((sae(x) - affine(codes, w.W_dec, w.b_dec)).norm() < 1e-4F * codes.norm());
  };
  const auto centered = [&](const Weights& w) -> Matrix<float> { return x.rowwise() - w.b_dec.transpose(); };

  auto w = load("standard").weights;
  check(fg::autoencoder(fg::pre_bias() | fg::linear(6, 20) | fg::relu(), fg::linear(20, 6)), w,
        affine(centered(w), w.W_enc, w.b_enc).cwiseMax(0.0F));

  w = load("jumprelu").weights;
  const Matrix<float> z = affine(x, w.W_enc, w.b_enc);
  check(fg::autoencoder(fg::linear(6, 20) | fg::jump_relu(20), fg::linear(20, 6)), w,
        (z.array() > w.threshold.transpose().replicate(30, 1).array()).select(z, 0.0F));

  w = load("gated").weights;
  const Matrix<float> pi = centered(w) * w.W_enc;
  const Matrix<float> magnitudes =
      affine(centered(w), w.W_enc * w.r_mag.array().exp().matrix().asDiagonal(), w.b_mag).cwiseMax(0.0F);
  check(fg::autoencoder(fg::pre_bias() | fg::gated(6, 20), fg::linear(20, 6)), w,
        ((pi.rowwise() + w.b_enc.transpose()).array() > 0).select(magnitudes, 0.0F));

  const auto best = [](Matrix<float> y) {
    for (Index i = 0; i < y.rows(); ++i) {
      Eigen::VectorXf row = y.row(i);
      std::nth_element(row.begin(), row.begin() + 4, row.end(), std::greater<>());
      y.row(i) = (y.row(i).array() > row[4]).select(y.row(i), 0.0F).cwiseMax(0.0F);
    }
    return y;
  };
  auto top_k = fg::autoencoder(fg::pre_bias() | fg::linear(6, 20) | fg::top_k(4) | fg::relu(), fg::linear(20, 6));
  auto file = load("topk");
  w = file.weights;
  check(top_k, w, best(affine(centered(w), w.W_enc, w.b_enc)));

  // fold_decoder_norms multiplies latents by the norms of the decoder's rows and scales these rows to length 1.
  CHECK_THROWS_WITH(fg::fold_decoder_norms(file), contains("must have \"rescale_acts_by_decoder_norm\": true"));
  file.config.rescale_acts_by_decoder_norm = true;
  fg::fold_decoder_norms(file);
  CHECK(fg::encoder_of(file.config) == "pre_bias() | linear(6, 20) | top_k(4) | relu()");
  const Eigen::VectorXf norms = w.W_dec.rowwise().norm();
  check(top_k, file.weights, best(affine(centered(w), w.W_enc, w.b_enc) * norms.asDiagonal()));
}
