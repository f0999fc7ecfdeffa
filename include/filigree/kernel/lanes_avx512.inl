// SPDX-License-Identifier: MIT
// AVX-512: a comparison gives a bit mask, and a compression moves the chosen lanes to the front.
// Builtins instead of intrinsics: <immintrin.h> alone would cost a third of what Eigen costs to compile.
// vpcompress to a register and a full store take 2 + 1 micro-operations; the form with a memory operand is slower. On
// Zen 4 and Zen 5 the zero-masked form depends falsely on its destination. The merge-masked form of the value itself
// does not; the lanes after the chosen ones keep old numbers, which the next append overwrites.

// a * b + c, rounded once whatever the compiler's level of optimisation.
[[gnu::always_inline]] static inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
  if constexpr (single)
    return (Vec)__builtin_ia32_vfmaddps512_mask(a, b, c, -1, 4);  // all lanes, in the current rounding mode
  else
    return (Vec)__builtin_ia32_vfmaddpd512_mask(a, b, c, -1, 4);
}

template <int predicate>
[[gnu::always_inline]] static inline unsigned compare(const Vec& v, const Vec& t) {
  if constexpr (single)
    return static_cast<std::uint16_t>(__builtin_ia32_cmpps512_mask(v, t, predicate, -1, 4));
  else
    return static_cast<std::uint8_t>(__builtin_ia32_cmppd512_mask(v, t, predicate, -1, 4));
}
[[gnu::always_inline]] static inline unsigned above(const Vec& v, const Vec& t) {  // bit l: v[l] > t[l] or NaN
  return compare<not_less_equal>(v, t);
}
[[gnu::always_inline]] static inline unsigned at_least(const Vec& v, const Vec& t) {  // bit l: v[l] >= t[l] or NaN
  return compare<not_less>(v, t);
}

[[gnu::always_inline]] static inline int population(unsigned mask) { return __builtin_popcount(mask); }

// Writes the lanes of v and columns c whose bit is set side by side; a whole vector is stored.
[[gnu::always_inline]] static inline int append(Scalar* values, Column* columns, const Vec& v, const ColumnVec& c,
                                                unsigned mask) {
  if constexpr (single) {
    const auto bits = static_cast<std::uint16_t>(mask);
    store(values, (Vec)__builtin_ia32_compresssf512_mask(v, v, bits));
    store_columns(columns, (ColumnVec)__builtin_ia32_compresssi512_mask(c, c, bits));
  } else {
    const auto bits = static_cast<std::uint8_t>(mask);
    store(values, (Vec)__builtin_ia32_compressdf512_mask(v, v, bits));
    store_columns(columns, (ColumnVec)__builtin_ia32_compresssi256_mask(c, c, bits));
  }
  return population(mask);
}
