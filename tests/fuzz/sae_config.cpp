// SPDX-License-Identifier: MIT
#include "filigree/encoder/sae_lens_config.hpp"
#include "filigree/encoder/sparsify_config.hpp"
#include "reader.hpp"

namespace {

/// Checks that a configuration is written as it was read, and that encoder_of does not crash.
template <class Config>
void use(const filigree::JsonObject& json) {
  const Config config = Config::read(json);
  fuzz::expect(filigree::detail::document_of(config, "fuzz").text() == json.text());
  (void)filigree::encoder_of(config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    use<filigree::SaeLensConfig>(filigree::parse_json(bytes, "fuzz.json"));
  });
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    use<filigree::SparsifyConfig>(filigree::parse_json(bytes, "fuzz.json"));
  });
}
