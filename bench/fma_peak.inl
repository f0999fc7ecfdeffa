// SPDX-License-Identifier: MIT
// Computes `steps` multiply-adds on each of `chains` registers and returns the sum of all lanes. `lanes` is the number
// of floats per register.

typedef float Vec __attribute__((vector_size(sizeof(float) * lanes)));

inline float fma_chains(long steps, float factor, float term) {
  const Vec a = factor - Vec{}, b = term - Vec{};
  Vec x[chains];
  BENCH_UNROLL
  for (int c = 0; c < chains; ++c) x[c] = b * static_cast<float>(c);
  for (long i = 0; i < steps; ++i) {
    BENCH_UNROLL
    for (int c = 0; c < chains; ++c) x[c] = x[c] * a + b;
  }
  float sum = 0;
  for (int c = 0; c < chains; ++c)
    for (int l = 0; l < lanes; ++l) sum += x[c][l];
  return sum;
}
