// SPDX-License-Identifier: MIT
// The vector types of one level: `Real` is float or double, `lanes` of them fill a register, a tile of scores is
// `height` queries by `width` keys.

inline constexpr int width = lanes * cols;

typedef Real Vec __attribute__((vector_size(sizeof(Real) * lanes)));
typedef Bits Mask __attribute__((vector_size(sizeof(Real) * lanes)));
typedef Column Columns __attribute__((vector_size(sizeof(Column) * lanes)));

inline constexpr Bits sign_bit = static_cast<Bits>(1) << (8 * sizeof(Bits) - 2) << 1;
inline constexpr Real infinity = static_cast<Real>(__builtin_inf());

[[gnu::always_inline]] inline Vec load(const Real* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] inline Columns load_columns(const Column* p) {
  Columns v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] inline void store(Real* p, const Vec& v) { __builtin_memcpy(p, &v, sizeof v); }
[[gnu::always_inline]] inline Vec broadcast(Real x) { return x - Vec{}; }
[[gnu::always_inline]] inline Columns iota() {
  Columns v{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) v[l] = l;
  return v;
}
