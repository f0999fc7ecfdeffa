// SPDX-License-Identifier: MIT
#include "filigree/io/pgm.hpp"

#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    const auto values = filigree::parse_pgm<Eigen::MatrixXd>(bytes, "fuzz.pgm");
    fuzz::expect(values.size() > 0 && values.minCoeff() >= 0 && values.maxCoeff() <= 1);
  });
}
