// SPDX-License-Identifier: MIT
// Eigen's own product compiled for this machine, to compare it fairly with kernels that need no flag.

#include "cases.hpp"
#include "context.hpp"

int main(int argc, char** argv) {
  const bench::Matrix q = bench::normal(4096, 64, 0), k = bench::normal(4096, 64, 1);
  bench::add_fma_peak();
  bench::add("EigenScoreProduct/4096/4096/64", [&] { return std::make_unique<bench::EigenScoreProduct>(q, k); });
  return bench::run_benchmarks(argc, argv);
}
