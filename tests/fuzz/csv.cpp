// SPDX-License-Identifier: MIT
#include "filigree/io/csv.hpp"

#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::run(data, size, [](const filigree::Bytes& bytes) {
    (void)filigree::parse_csv<Eigen::MatrixXd>(bytes, "fuzz.csv");
    (void)filigree::parse_csv<Eigen::MatrixXi>(bytes, "fuzz.csv", {.separator = ';', .skip_rows = 1});
  });
}
