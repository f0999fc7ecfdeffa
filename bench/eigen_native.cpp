// SPDX-License-Identifier: MIT
// Eigen's own product compiled for this machine, for a fair comparison with kernels that need no compiler flags.

#include "cases.hpp"
#include "context.hpp"

int main(int argc, char** argv) {
  const bench::Matrix q = bench::normal(4096, 64, 0), k = bench::normal(4096, 64, 1);
  bench::add_fma_peak();
  bench::add("EigenScoreProduct/4096/4096/64", [&] { return std::make_unique<bench::EigenScoreProduct>(q, k); });
  return bench::run_benchmarks(argc, argv);
}
