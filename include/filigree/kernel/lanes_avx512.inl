// SPDX-License-Identifier: MIT
// Members of a level: fused, multiply_add, add_products_of_feature, times_power_of_two, above, at_least, population,
// append, multiply_words, square_root, load_first, store_first, half_to_single; nothing else.
//
// AVX-512: a comparison returns a bit mask, and a compress instruction moves the selected lanes to the front.
// Builtins replace intrinsics, because <immintrin.h> takes a third of the compile time of Eigen.
// vpcompress to a register and a full store take 2 + 1 micro-operations; the form with a memory operand is slower. On
// Zen 4 and Zen 5 the zero-masked form has a false dependency on its destination. The merge-masked form with the value
// as destination has none. It leaves old numbers in the lanes after the selected ones; the next append overwrites them.

static constexpr bool fused = true;
// Returns a * b + c, rounded once at every optimization level of the compiler.
[[gnu::always_inline]] static inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
  if constexpr (single)
    return (Vec)__builtin_ia32_vfmaddps512_mask(a, b, c, -1, 4);  // all lanes, in the current rounding mode
  else
    return (Vec)__builtin_ia32_vfmaddpd512_mask(a, b, c, -1, 4);
}

// Adds q[r] * key[c] to acc[r][c].
template <int rows, int vectors>
[[gnu::always_inline]] static inline void add_products_of_feature(const Scalar* q /*[rows]*/, const Vec (&key)[vectors],
                                                                  Vec (&acc)[rows][vectors]) {
  add_broadcast_products(q, key, acc);
}

// Predicates of comparisons that are true for NaN and raise no floating-point exception.
static constexpr int not_less = 0x15, not_less_equal = 0x16;

// Returns p * 2^n; exactly 0 where x < least, NaN where x is NaN.
[[gnu::always_inline]] static inline Vec times_power_of_two(const Vec& p, const Vec& n, const Vec& /*shifted*/,
                                                            const Vec& x, const Vec& least) {
  if constexpr (single) {
    const std::uint16_t normal = __builtin_ia32_cmpps512_mask(x, least, not_less, -1, 4);
    return (Vec)__builtin_ia32_scalefps512_mask(p, n, Vec{}, normal, 4);
  } else {
    const std::uint8_t normal = __builtin_ia32_cmppd512_mask(x, least, not_less, -1, 4);
    return (Vec)__builtin_ia32_scalefpd512_mask(p, n, Vec{}, normal, 4);
  }
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

// Writes the lanes of v and c whose mask bit is set, contiguously, and returns their number. Stores a whole vector.
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

// Returns the products of the low 32 bits of each lane, of 64 bits.
[[gnu::always_inline]] static inline Wide multiply_words(const Wide& a, const Wide& b) {
#if defined(__clang__)
  constexpr std::uint64_t low = 0xFFFFFFFF;
  return (a & low) * (b & low);
#else
  typedef Lane<int> Ints __attribute__((vector_size(64)));
  typedef Lane<long long> Product __attribute__((vector_size(64)));
  return (Wide)__builtin_ia32_pmuludq512_mask((Ints)a, (Ints)b, Product{}, 255);
#endif
}

[[gnu::always_inline]] static inline Vec square_root(const Vec& x) {
#if FILIGREE_HAS_ELEMENTWISE_SQRT
  return __builtin_elementwise_sqrt(x);
#elif defined(__clang__)
  if constexpr (single)
    return (Vec)__builtin_ia32_sqrtps512(x, 4);  // in the current rounding mode
  else
    return (Vec)__builtin_ia32_sqrtpd512(x, 4);
#else
  if constexpr (single)
    return (Vec)__builtin_ia32_sqrtps512_mask(x, x, -1, 4);
  else
    return (Vec)__builtin_ia32_sqrtpd512_mask(x, x, -1, 4);
#endif
}

// Masks: a vector that was stored lane by lane would be loaded only after all stores.
[[gnu::always_inline]] static inline Vec load_first(const Scalar* p, Index count) {
  const unsigned mask = (1U << count) - 1;
  if constexpr (single)
    return (Vec)__builtin_ia32_loadups512_mask(p, Vec{}, static_cast<std::uint16_t>(mask));
  else
    return (Vec)__builtin_ia32_loadupd512_mask(p, Vec{}, static_cast<std::uint8_t>(mask));
}
[[gnu::always_inline]] static inline void store_first(Scalar* p, const Vec& v, Index count) {
  const unsigned mask = (1U << count) - 1;
  if constexpr (single)
    __builtin_ia32_storeups512_mask(p, v, static_cast<std::uint16_t>(mask));
  else
    __builtin_ia32_storeupd512_mask(p, v, static_cast<std::uint8_t>(mask));
}

[[gnu::always_inline]] static inline Singles half_to_single(const Halves& h) {
  typedef Lane<short> Shorts __attribute__((vector_size(32)));
  typedef Lane<short> FewShorts __attribute__((vector_size(16)));
  if constexpr (single)
    return (Singles)__builtin_ia32_vcvtph2ps512_mask((Shorts)h, Singles{}, -1, 4);  // exact
  else
    return (Singles)__builtin_ia32_vcvtph2ps256_mask((FewShorts)h, Singles{}, -1);
}
