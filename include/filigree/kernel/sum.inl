// SPDX-License-Identifier: MIT
// Sums and quotients in double.

// Returns the sum of the values, of which -inf is absent. Partial sum i has the columns i, i + 16, i + 32, ...
static double sum_present(const Scalar* values, Index count) {
  constexpr int parts = 16, vectors = parts / double_lanes;
  DoubleVec partial[vectors]{};
  Index i = 0;
  for (; i + parts <= count; i += parts) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) {
      ScalarsOfDoubles v;
      __builtin_memcpy(&v, values + i + c * double_lanes, sizeof v);
      const DoubleVec x = __builtin_convertvector(v, DoubleVec);
      partial[c] += x == -__builtin_inf() ? DoubleVec{} : x;
    }
  }
  double s[parts];
  __builtin_memcpy(s, partial, sizeof s);
  for (int l = 0; i + l < count; ++l) s[l] += values[i + l] == -infinity ? 0 : static_cast<double>(values[i + l]);
  for (int size = parts / 2; size > 0; size /= 2)
    for (int l = 0; l < size; ++l) s[l] += s[l + size];
  return s[0];
}

// Divides the values in double, except -inf, up to a whole vector.
static void divide(Scalar* values, Index count, double divisor) {
  for (Index i = 0; i < count; i += double_lanes) {
    ScalarsOfDoubles v;
    __builtin_memcpy(&v, values + i, sizeof v);
    const DoubleVec x = __builtin_convertvector(v, DoubleVec);
    const DoubleVec quotient = x == -__builtin_inf() ? x : x / divisor;
    v = __builtin_convertvector(quotient, ScalarsOfDoubles);
    __builtin_memcpy(values + i, &v, sizeof v);
  }
}
