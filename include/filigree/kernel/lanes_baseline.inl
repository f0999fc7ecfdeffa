// SPDX-License-Identifier: MIT
// Portable version: lane by lane and without branches, which would be unpredictable.

// Returns a * b + c, rounded once if the program is compiled for a fused multiply-add instruction.
[[gnu::always_inline]] static inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
#if !defined(__FMA__)
  return c + a * b;
#elif FILIGREE_HAS_ELEMENTWISE_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  if constexpr (single)
    return (Vec)__builtin_ia32_vfmaddps(a, b, c);
  else
    return (Vec)__builtin_ia32_vfmaddpd(a, b, c);
#endif
}

// Returns a mask whose bit l is set if lane l of the comparison result is false.
[[gnu::always_inline]] static inline unsigned false_lanes(const Mask& result) {
#if defined(__SSE2__)
  if constexpr (single)
    return 15U & ~static_cast<unsigned>(__builtin_ia32_movmskps((Vec)result));
  else
    return 3U & ~static_cast<unsigned>(__builtin_ia32_movmskpd((Vec)result));
#else
  unsigned mask = 0;
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) mask |= static_cast<unsigned>(1 + result[l]) << l;
  return mask;
#endif
}
[[gnu::always_inline]] static inline unsigned above(const Vec& v, const Vec& t) {  // bit l: v[l] > t[l] or NaN
  return false_lanes(v <= t);
}
[[gnu::always_inline]] static inline unsigned at_least(const Vec& v, const Vec& t) {  // bit l: v[l] >= t[l] or NaN
  return false_lanes(v < t);
}

[[gnu::always_inline]] static inline int population(unsigned mask) {
  int count = 0;
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) count += static_cast<int>(mask >> l & 1U);
  return count;
}

// Writes the lanes of v and c whose mask bit is set, contiguously, and returns their number. Stores at most a vector.
[[gnu::always_inline]] static inline int append(Scalar* values, Column* columns, const Vec& v, const ColumnVec& c,
                                                unsigned mask) {
  int count = 0;
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) {
    values[count] = v[l];
    columns[count] = c[l];
    count += static_cast<int>(mask >> l & 1U);
  }
  return count;
}
