// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
#include <string>

#include "catch.hpp"
#include "parity/layers.hpp"

namespace fg = filigree;
using parity::Fixture;

TEST_CASE("sparse_transformer agrees with the class SparseSelfAttention in PyTorch") {
  const Fixture inputs("sparse_self_attention");
  parity::Parts parts;
  for (const std::string layer : {"layers_0_", "layers_1_"})
    parts = parity::join({parts, parity::linear({layer + "qkv"}), parity::linear({layer + "out"})});
  for (const int percent : {0, 50, 90}) {
    CAPTURE(percent);
    parity::layers_agree<double>(
        fg::sparse_transformer<double>(2, 12, fg::heads{3},
                                       {.sparsity = percent / 100.0, .of = fg::sparsity_of::tutorial}),
        parts, inputs, inputs, Fixture("sparse_self_attention/sparsity_" + std::to_string(percent)));
  }
}
