// SPDX-License-Identifier: MIT
#include "filigree/transformer/bert.hpp"

#include <filigree/filigree.hpp>

#include "io/files.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using test::Index;

TEMPLATE_TEST_CASE("an encoder from the files of transformers agrees with BertModel", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture fixture("bert");
  const std::string folder = std::string(FILIGREE_PARITY_DATA) + "/bert", model = folder + "/model.safetensors";
  auto net = fg::bert_encoder<S>(fg::BertConfig::read(fg::load_json(folder + "/config.json")));
  fg::load(net, model, fg::bert_names());
  const auto ids = fixture.matrix<Index>("ids");
  const test::Matrix<S> y = net(fg::Batch{ids, fixture.integers("lengths")});
  CHECK(parity::deviation(y, fixture.matrix<double>("output")) <= parity::tolerance<S>);

  const test::Folder copies;
  fg::save(net, copies / "copy.safetensors", fg::bert_names(), model);
  CHECK(test::content(copies / "copy.safetensors") == test::content(model));
}
