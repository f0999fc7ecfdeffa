// SPDX-License-Identifier: MIT
// Members of a level: fused, multiply_add, add_products_of_feature, times_power_of_two, above, at_least, population,
// append, multiply_words, square_root, load_first, store_first, half_to_single; nothing else.
//
// Portable version: lane by lane and without branches, which would be unpredictable.

// True if multiply_add rounds once: if the program is compiled for a processor with a fused multiply-add instruction. A
// compiler for such a processor may fuse a product and a sum or not, so the portable version is explicit about it.
#if defined(__FMA__) || defined(__FP_FAST_FMAF)
static constexpr bool fused = true;
#else
static constexpr bool fused = false;
#endif
// Returns a * b + c.
[[gnu::always_inline]] static inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
  if constexpr (!fused) {
    return c + a * b;
  } else {
#if FILIGREE_HAS_ELEMENTWISE_FMA
    return __builtin_elementwise_fma(a, b, c);
#elif defined(__FMA__)
    if constexpr (single)
      return (Vec)__builtin_ia32_vfmaddps(a, b, c);
    else
      return (Vec)__builtin_ia32_vfmaddpd(a, b, c);
#else
    return multiply_add_lanes(a, b, c);
#endif
  }
}

// Adds q[r] * key[c] to acc[r][c].
template <int rows, int vectors>
[[gnu::always_inline]] static inline void add_products_of_feature(const Scalar* q /*[rows]*/, const Vec (&key)[vectors],
                                                                  Vec (&acc)[rows][vectors]) {
  add_broadcast_products(q, key, acc);
}

// Returns p * 2^n; exactly 0 where x < least, NaN where x is NaN. The low bits of `shifted` hold n as an integer.
[[gnu::always_inline]] static inline Vec times_power_of_two(const Vec& p, const Vec& /*n*/, const Vec& shifted,
                                                            const Vec& x, const Vec& least) {
  return add_to_exponent(p, shifted, x, least);
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
  return append_lanes(values, columns, v, c, mask);
}

// Returns the products of the low 32 bits of each lane, of 64 bits.
[[gnu::always_inline]] static inline Wide multiply_words(const Wide& a, const Wide& b) {
#if defined(__SSE2__) && !defined(__clang__)
  typedef Lane<int> Ints __attribute__((vector_size(16)));
  return (Wide)__builtin_ia32_pmuludq128((Ints)a, (Ints)b);
#else
  constexpr std::uint64_t low = 0xFFFFFFFF;
  return (a & low) * (b & low);
#endif
}

[[gnu::always_inline]] static inline Vec square_root(const Vec& x) {
#if FILIGREE_HAS_ELEMENTWISE_SQRT
  return __builtin_elementwise_sqrt(x);
#elif defined(__SSE2__)
  if constexpr (single)
    return (Vec)__builtin_ia32_sqrtps(x);
  else
    return (Vec)__builtin_ia32_sqrtpd(x);
#else
  return square_root_lanes(x);
#endif
}

[[gnu::always_inline]] static inline Vec load_first(const Scalar* p, Index count) { return load_first_lanes(p, count); }
[[gnu::always_inline]] static inline void store_first(Scalar* p, const Vec& v, Index count) {
  store_first_lanes(p, v, count);
}

[[gnu::always_inline]] static inline Singles half_to_single(const Halves& h) { return half_to_single_lanes(h); }
