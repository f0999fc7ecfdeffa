// SPDX-License-Identifier: MIT
// main [units]: runs the attention of each linked translation unit and compares it with its definition. Fails unless
// the number of units is as given.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "units.hpp"

namespace {

std::vector<Attention>& units() {
  static std::vector<Attention> list;
  return list;
}

std::vector<float> noise(unsigned seed) {
  std::vector<float> values(length * width);
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
  }
  return values;
}

double dot(const float* a, const float* b) { return std::inner_product(a, a + width, b, 0.0); }

std::vector<double> definition(const std::vector<float>& q, const std::vector<float>& k, const std::vector<float>& v) {
  std::vector<double> out(length * width, 0.0);
  for (int i = 0; i < length; ++i) {
    std::vector<std::pair<double, int>> scores;
    for (int j = 0; j <= i; ++j)
      scores.emplace_back(dot(&q[i * width], &k[j * width]) / std::sqrt(static_cast<double>(width)), -j);
    std::sort(scores.rbegin(), scores.rend());
    scores.resize(std::min<std::size_t>(scores.size(), 4));
    double sum = 0;
    for (auto [score, key] : scores) sum += std::exp(score);
    for (auto [score, key] : scores)
      for (int c = 0; c < width; ++c) out[i * width + c] += std::exp(score) / sum * v[-key * width + c];
  }
  return out;
}

}  // namespace

bool add_unit(Attention attention) {
  units().push_back(attention);
  return true;
}

int main(int argc, char** argv) {
  const std::vector<float> q = noise(1), k = noise(2), v = noise(3);
  const std::vector<double> expected = definition(q, k, v);
  const std::size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1;
  if (units().size() != count) return std::printf("%zu units, expected %zu\n", units().size(), count), 1;

  for (Attention attention : units()) {
    std::vector<float> out(length * width);
    attention(q.data(), k.data(), v.data(), out.data());
    double error = 0;
    for (std::size_t i = 0; i < out.size(); ++i) error = std::max(error, std::abs(out[i] - expected[i]));
    std::printf("largest error %.1e\n", error);
    if (!(error < 1e-5)) return 1;
  }
}
