// SPDX-License-Identifier: MIT
#include "filigree/io/pgm.hpp"

#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    const auto shares = filigree::parse_pgm<Eigen::MatrixXd>(bytes, "fuzz.pgm");
    fuzz::expect(shares.size() > 0 && shares.minCoeff() >= 0 && shares.maxCoeff() <= 1);
  });
}
