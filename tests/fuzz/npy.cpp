// SPDX-License-Identifier: MIT
#include "filigree/io/npy.hpp"

#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    const filigree::NdArray array = filigree::parse_npy(bytes, "fuzz.npy");
    fuzz::use(array);
    // An array that is written and read again is the same.
    for (const bool columns_first : {false, true}) {
      std::string file;
      for (const filigree::Bytes& piece : filigree::detail::npy_pieces(array, columns_first)) file += piece.text();
      const filigree::NdArray again = filigree::parse_npy(filigree::Bytes::copy(file), "again.npy");
      fuzz::expect(again.type == array.type && again.shape == array.shape && again.bytes.text() == array.bytes.text());
    }
  });
}
