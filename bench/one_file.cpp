// SPDX-License-Identifier: MIT
// The score product in a program of one file: g++ -O2 -std=c++20 -I include -I eigen3 one_file.cpp, without other
// flags. Prints the median CPU time of nine runs in seconds.

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "score_product.hpp"

int main() {
  const bench::Matrix q = bench::normal(4096, 64, 0), k = bench::normal(4096, 64, 1);
  bench::ScoreProduct product(q, k);
  if (!product.is_right()) return 1;

  std::array<double, 9> seconds{};
  for (double& s : seconds) {
    const std::clock_t start = std::clock();
    product.run();
    s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }
  std::sort(seconds.begin(), seconds.end());
  std::printf("%.6f\n", seconds[4]);
}
