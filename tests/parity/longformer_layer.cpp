// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/layers.hpp"

namespace fg = filigree;
using parity::Fixture;

TEST_CASE("a layer with longformer_attention agrees with LongformerLayer of transformers") {
  const Fixture reference("longformer_layer");
  const auto attention = fg::longformer_attention<double>(12, fg::heads{3}, 8, reference.integers("globals"));
  const auto layer = fg::transformer_layer(attention, 20, {.norm = fg::norm_position::post});
  const std::string self = "attention_self_";
  parity::layers_agree<double>(
      layer,
      parity::join({parity::linear({self + "query", self + "key", self + "value", self + "key_global",
                                    self + "value_global", self + "query_global"}),
                    parity::linear({"attention_output_dense"}), parity::as_stored("attention_output_LayerNorm"),
                    parity::linear({"intermediate_dense"}), parity::linear({"output_dense"}),
                    parity::as_stored("output_LayerNorm")}),
      reference, reference, reference);
}
