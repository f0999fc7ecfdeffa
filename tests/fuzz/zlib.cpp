// SPDX-License-Identifier: MIT
#include "filigree/io/zlib.hpp"

#include "filigree/io/npz.hpp"
#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    for (const auto& [name, array] : filigree::parse_npz(bytes, "fuzz.npz", filigree::zlib{})) fuzz::use(array);
  });
}
