// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
#include <string>

#include "catch.hpp"
#include "parity/layers.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::linear_without_bias;

namespace {

template <class Layers>
void agrees(const std::string& name, const Layers& layers, const parity::Parts& parts) {
  CAPTURE(name);
  const Fixture reference("decoder_layers/" + name);
  parity::layers_agree<double>(layers, parts, Fixture("decoder_layers"), reference, reference);
  CHECK(parity::deviation(reference.matrix<double>("output"), reference.matrix<double>("output_as_it_is")) <=
        parity::float_tolerance);
}

auto llama_attention() {
  return fg::attention<double>(8, fg::heads{4, 2}, fg::causal() | fg::softmax(),
                               {.width = 6, .rotary = fg::rotary(6, 500), .bias = false});
}
parity::Parts attention_parts(const std::string& name, fg::Index features, const std::string& out) {
  return parity::join({linear_without_bias({name + "q_proj", name + "k_proj", name + "v_proj"}, features),
                       linear_without_bias({name + out}, 8)});
}
auto llama_mlp() { return fg::gated_feed_forward<double>(8, 12, fg::silu(), {.bias = false}); }
parity::Parts mlp_parts(const std::string& name) {
  return parity::join({linear_without_bias({name + "gate_proj"}, 12), linear_without_bias({name + "up_proj"}, 12),
                       linear_without_bias({name + "down_proj"}, 8)});
}

}  // namespace

TEST_CASE("rms_norm and gated_feed_forward agree with LlamaRMSNorm and LlamaMLP of transformers") {
  agrees("rms_norm", fg::rms_norm<double>(8, 0.01), {{.names = {"weight"}}});
  agrees("mlp", llama_mlp(), mlp_parts(""));
}

TEST_CASE("attention with rotary positions agrees with LlamaAttention and GPTJAttention of transformers") {
  agrees("attention", llama_attention(), attention_parts("", 4 * 6 + 2 * 2 * 6, "o_proj"));
  agrees("gptj",
         fg::attention<double>(8, fg::heads{2}, fg::causal() | fg::softmax(),
                               {.rotary = fg::rotary(2, 10000, fg::rotary_pairs::adjacent), .bias = false}),
         attention_parts("", 3 * 8, "out_proj"));
}

TEST_CASE("layers of decoders agree with LlamaDecoderLayer and GPT2Block of transformers") {
  const auto norm = fg::rms_norm<double>(8, 0.01);
  agrees("llama", fg::sequence(fg::residual(norm | llama_attention()) | fg::residual(norm | llama_mlp())),
         parity::join({{{.names = {"input_layernorm_weight"}}},
                       attention_parts("self_attn_", 4 * 6 + 2 * 2 * 6, "o_proj"),
                       {{.names = {"post_attention_layernorm_weight"}}},
                       mlp_parts("mlp_")}));
  agrees("gpt2", fg::transformer_layer<double>(8, fg::heads{2}, 12, fg::causal() | fg::softmax(), {}, fg::gelu_tanh()),
         parity::join({parity::as_stored("ln_1"), parity::as_stored("attn_c_attn"), parity::as_stored("attn_c_proj"),
                       parity::as_stored("ln_2"), parity::as_stored("mlp_c_fc"), parity::as_stored("mlp_c_proj")}));
}
