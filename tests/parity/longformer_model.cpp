// SPDX-License-Identifier: MIT
#include "filigree/transformer/longformer.hpp"

#include <filigree/filigree.hpp>

#include "io/files.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using test::Index;

TEMPLATE_TEST_CASE("an encoder from the files of transformers agrees with LongformerModel", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture fixture("longformer_model");
  const std::string folder = std::string(FILIGREE_PARITY_DATA) + "/longformer_model",
                    model = folder + "/model.safetensors";
  auto net = fg::longformer_encoder<S>(fg::LongformerConfig::read(fg::load_json(folder + "/config.json")));
  fg::load(net, model, fg::longformer_names());
  const auto ids = fixture.matrix<Index>("ids");
  const test::Matrix<S> y = net(fg::Batch{ids, fixture.integers("lengths")});
  CHECK(parity::deviation(y, fixture.matrix<double>("output")) <= parity::tolerance<S>);

  const test::Folder copies;
  fg::save(net, copies / "copy.safetensors", fg::longformer_names(), model);
  CHECK(test::content(copies / "copy.safetensors") == test::content(model));
}
