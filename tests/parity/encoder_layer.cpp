// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
#include <string>

#include "catch.hpp"
#include "parity/layers.hpp"

namespace fg = filigree;
using parity::Fixture;

namespace {

template <class Activation>
void encoder_layer_agrees(const std::string& norm, const std::string& name, Activation activation) {
  CAPTURE(norm, name);
  const bool pre = norm == "pre";
  const parity::Parts first = parity::as_stored("norm1"), second = parity::as_stored("norm2"),
                      attention = parity::join({{{.names = {"self_attn_in_proj_weight"}, .transposed = true},
                                                 {.names = {"self_attn_in_proj_bias"}}},
                                                parity::linear({"self_attn_out_proj"})}),
                      feed_forward = parity::join({parity::linear({"linear1"}), parity::linear({"linear2"})});
  const auto layer = fg::transformer_layer<double>(
      8, fg::heads{2}, 12, fg::softmax(), {.norm = pre ? fg::norm_position::pre : fg::norm_position::post}, activation);
  const Fixture inputs("encoder_layer");
  parity::layers_agree<double>(layer,
                               pre ? parity::join({first, attention, second, feed_forward})
                                   : parity::join({attention, first, feed_forward, second}),
                               inputs, inputs, Fixture("encoder_layer/" + norm + "_" + name));
}

}  // namespace

TEST_CASE("transformer_layer agrees with TransformerEncoderLayer of PyTorch") {
  for (const std::string norm : {"pre", "post"}) {
    encoder_layer_agrees(norm, "relu", fg::relu());
    encoder_layer_agrees(norm, "gelu", fg::gelu());
  }
}
