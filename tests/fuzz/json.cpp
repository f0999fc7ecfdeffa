// SPDX-License-Identifier: MIT
#include "filigree/io/json.hpp"

#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    const filigree::JsonObject object = filigree::parse_json(bytes, "fuzz.json");
    const std::string text = object.text();
    const filigree::JsonObject again = filigree::parse_json(filigree::Bytes::copy(text), "fuzz.json");
    fuzz::expect(again.text() == text);
    for (const auto& [key, value] : object) {
      fuzz::expect(again.contains(key));
      if (value.starts_with('"')) (void)object.get<std::string>(key);
      if (value.starts_with('{')) fuzz::expect(object.get<filigree::JsonObject>(key).text() == value);
    }
  });
}
