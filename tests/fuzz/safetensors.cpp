// SPDX-License-Identifier: MIT
#include "filigree/io/safetensors.hpp"

#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    for (const auto& [name, array] : filigree::parse_safetensors(bytes, "fuzz.safetensors").tensors) fuzz::use(array);
  });
}
