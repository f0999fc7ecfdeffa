// SPDX-License-Identifier: MIT
#include "catch.hpp"
#include "filigree/io/npz.hpp"
#include "filigree/io/zlib.hpp"
#include "parity/io_files.hpp"

namespace fg = filigree;

TEST_CASE("load_npz reads files of numpy.savez_compressed") {
  const fg::Arrays arrays = fg::load_npz(parity::path("compressed.npz"), fg::zlib{});
  CHECK(arrays["x"].as<Eigen::MatrixXd>() == parity::fractions());
  CHECK(arrays["layer/zeros"].as<Eigen::VectorXd>() == Eigen::VectorXd::Zero(100));
  CHECK(arrays["\xCF\x83"].as<Eigen::VectorXi>()(0) == 7);
  CHECK_THROWS_WITH(fg::load_npz(parity::path("compressed.npz")),
                    contains("\"x.npy\": is compressed: pass zlib{} of filigree/io/zlib.hpp too"));
}
