// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "filigree/encoder/sae_lens.hpp"
#include "filigree/encoder/sparsify.hpp"
#include "io/files.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Matrix;
using test::Index;

namespace {

template <class S>
constexpr double close = std::is_same_v<S, double> ? 1e-10 : 1e-6;

std::string path(const std::string& name) { return std::string(FILIGREE_PARITY_DATA) + "/" + name; }

/// Checks that saving a loaded directory gives the bytes that Python wrote. Python can therefore read saved
/// directories.
template <class Save>
void writes_the_same(const std::string& name, const std::string& weights, const Save& save) {
  const test::Folder folder;
  save(folder / "copy");
  for (const std::string& file : {std::string("/cfg.json"), "/" + weights})
    CHECK(test::content(folder / "copy" + file) == test::content(path(name) + file));
}

template <class S>
void check(const std::string& name, const Matrix<S>& codes, const Matrix<S>& output) {
  const Fixture expected(name);
  CHECK(parity::deviation(codes, expected.matrix<double>("codes")) <= close<S>);
  CHECK(parity::deviation(output, expected.matrix<double>("output")) <= close<S>);
}

/// Checks the model of a directory. `encoder` has the stages that encoder_of returns.
template <class S, class Encoder>
void check_model(const std::string& name, const fg::SaeWeights<S>& weights, const Encoder& encoder) {
  const Matrix<S> x = Fixture(name.substr(0, name.find('/'))).matrix<S>("x");
  auto decoder = fg::linear<S>(weights.W_dec.rows(), weights.W_dec.cols());
  if (weights.W_skip.size() > 0) decoder = decoder.skip_connection(weights.W_skip.rows());
  auto sae = fg::transcoder(encoder, decoder);
  fg::set_weights(sae, weights);
  check<S>(name, sae.encode(x), sae(x));
}

template <class S>
auto load_sae_lens(const std::string& name, const std::string& encoder) {
  CAPTURE(name);
  auto file = fg::load_sae_lens<S>(path("sae_lens/" + name));
  if (file.config.rescale_acts_by_decoder_norm) fg::fold_decoder_norms(file);
  CHECK(fg::encoder_of(file.config) == encoder);
  return file.weights;
}

}  // namespace

TEMPLATE_TEST_CASE("autoencoders from SAELens directories agree with SAELens", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const auto layer = fg::linear<S>(10, 24);
  for (const std::string name : {"standard", "standard_bfloat16"})
    check_model<S>("sae_lens/" + name, load_sae_lens<S>(name, "pre_bias() | linear(10, 24) | relu()"),
                   fg::pre_bias() | layer | fg::relu());
  check_model<S>("sae_lens/standard_bare", load_sae_lens<S>("standard_bare", "linear(10, 24) | relu()"),
                 layer | fg::relu());
  for (const std::string name : {"topk", "topk_old", "topk_rescaled"})
    check_model<S>("sae_lens/" + name, load_sae_lens<S>(name, "pre_bias() | linear(10, 24) | top_k(4) | relu()"),
                   fg::pre_bias() | layer | fg::top_k(4) | fg::relu());
  check_model<S>("sae_lens/jumprelu", load_sae_lens<S>("jumprelu", "pre_bias() | linear(10, 24) | jump_relu(24)"),
                 fg::pre_bias() | layer | fg::jump_relu<S>(24));
  check_model<S>("sae_lens/gated", load_sae_lens<S>("gated", "pre_bias() | gated(10, 24)"),
                 fg::pre_bias() | fg::gated<S>(10, 24));
}

TEMPLATE_TEST_CASE("autoencoders from sparsify directories agree with sparsify", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  for (const std::string name : {"topk", "many"}) {
    const auto [config, weights] = fg::load_sparsify<S>(path("sparsify/" + name));
    CHECK(fg::encoder_of(config) == "pre_bias() | linear(10, 24) | top_k(" + std::to_string(config.k) + ") | relu()");
    check_model<S>("sparsify/" + name, weights,
                   fg::pre_bias() | fg::linear<S>(10, 24) | fg::top_k(config.k) | fg::relu());
  }
  const auto other = fg::load_sparsify<S>(path("sparsify/groupmax")).config;
  CHECK_THROWS_WITH(fg::encoder_of(other), contains("no encoder supports \"activation\": \"groupmax\""));
}

TEMPLATE_TEST_CASE("transcoders with a skip connection agree with SAELens and sparsify", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const auto lens = fg::load_sae_lens<S>(path("sae_lens/skip_transcoder"));
  CHECK(fg::encoder_of(lens.config) == "linear(10, 24) | relu()");
  CHECK(lens.config.d_out == 7);
  check_model<S>("sae_lens/skip_transcoder", lens.weights, fg::linear<S>(10, 24) | fg::relu());

  const auto sparse = fg::load_sparsify<S>(path("sparsify/skip_transcoder"));
  CHECK(fg::encoder_of(sparse.config) == "linear(10, 20) | top_k(4) | relu()");
  check_model<S>("sparsify/skip_transcoder", sparse.weights, fg::linear<S>(10, 20) | fg::top_k(4) | fg::relu());
}

TEST_CASE("directories are written with the same bytes as by Python") {
  for (const std::string name : {"standard", "standard_bare", "standard_bfloat16", "topk", "topk_old", "topk_rescaled",
                                 "jumprelu", "gated", "skip_transcoder"}) {
    CAPTURE(name);
    const auto file = fg::load_sae_lens(path("sae_lens/" + name));
    writes_the_same("sae_lens/" + name, "sae_weights.safetensors",
                    [&](const std::string& to) { fg::save_sae_lens(to, file.weights, file.config); });
  }
  for (const std::string name : {"topk", "many", "skip_transcoder", "groupmax"}) {
    CAPTURE(name);
    const auto file = fg::load_sparsify(path("sparsify/" + name));
    writes_the_same("sparsify/" + name, "sae.safetensors",
                    [&](const std::string& to) { fg::save_sparsify(to, file.weights, file.config); });
  }
}
