// SPDX-License-Identifier: MIT
// Members of a level: fused, multiply_add, add_products_of_feature, times_power_of_two, above, at_least, population,
// append, multiply_words, square_root, load_first, store_first, half_to_single; nothing else.
//
// AVX2 has no compress instruction: a permutation from a table indexed by the mask moves the selected lanes to the
// front. Builtins replace intrinsics, because <immintrin.h> takes a third of the compile time of Eigen.

static constexpr bool fused = true;
// Returns a * b + c, rounded once at every optimization level of the compiler.
[[gnu::always_inline]] static inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
#if FILIGREE_HAS_ELEMENTWISE_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  if constexpr (single)
    return (Vec)__builtin_ia32_vfmaddps256(a, b, c);
  else
    return (Vec)__builtin_ia32_vfmaddpd256(a, b, c);
#endif
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

// Predicates of comparisons that are true for NaN and raise no floating-point exception.
static constexpr int not_less = 0x15, not_less_equal = 0x16;
template <int predicate>
[[gnu::always_inline]] static inline unsigned compare(const Vec& v, const Vec& t) {
  if constexpr (single)
    return static_cast<unsigned>(__builtin_ia32_movmskps256(__builtin_ia32_cmpps256(v, t, predicate)));
  else
    return static_cast<unsigned>(__builtin_ia32_movmskpd256(__builtin_ia32_cmppd256(v, t, predicate)));
}
[[gnu::always_inline]] static inline unsigned above(const Vec& v, const Vec& t) {  // bit l: v[l] > t[l] or NaN
  return compare<not_less_equal>(v, t);
}
[[gnu::always_inline]] static inline unsigned at_least(const Vec& v, const Vec& t) {  // bit l: v[l] >= t[l] or NaN
  return compare<not_less>(v, t);
}

[[gnu::always_inline]] static inline int population(unsigned mask) { return __builtin_popcount(mask); }

typedef float Singles8 __attribute__((vector_size(32)));
typedef std::int32_t Order8 __attribute__((vector_size(32)));
typedef float Singles4 __attribute__((vector_size(16)));
typedef std::int32_t Order4 __attribute__((vector_size(16)));

// Converts bytes to 32-bit integers with one instruction. clang finds it without a builtin.
#if defined(__clang__)
typedef unsigned char Bytes8 __attribute__((vector_size(8)));
typedef unsigned char Bytes4 __attribute__((vector_size(4)));
[[gnu::always_inline]] static inline Order8 eight_bytes(const unsigned char* p) {
  Bytes8 b;
  __builtin_memcpy(&b, p, sizeof b);
  return __builtin_convertvector(b, Order8);
}
[[gnu::always_inline]] static inline Order4 four_bytes(const unsigned char* p) {
  Bytes4 b;
  __builtin_memcpy(&b, p, sizeof b);
  return __builtin_convertvector(b, Order4);
}
#else
typedef char Chars __attribute__((vector_size(16)));
typedef std::int64_t Pair __attribute__((vector_size(16)));
[[gnu::always_inline]] static inline Chars first_eight(const unsigned char* p) {
  std::int64_t b;
  __builtin_memcpy(&b, p, sizeof b);
  return (Chars)Pair{b, 0};
}
[[gnu::always_inline]] static inline Order8 eight_bytes(const unsigned char* p) {
  return (Order8)__builtin_ia32_pmovzxbd256(first_eight(p));
}
[[gnu::always_inline]] static inline Order4 four_bytes(const unsigned char* p) {
  return (Order4)__builtin_ia32_pmovzxbd128(first_eight(p));
}
#endif

// Writes the lanes of v and c whose mask bit is set, contiguously, and returns their number. Stores a whole vector.
[[gnu::always_inline]] static inline int append(Scalar* values, Column* columns, const Vec& v, const ColumnVec& c,
                                                unsigned mask) {
  if constexpr (single) {
    const Order8 order = eight_bytes(compress_order.eight[mask]);
    store(values, (Vec)__builtin_ia32_permvarsf256(v, order));
    store_columns(columns, (ColumnVec)__builtin_ia32_permvarsi256(c, order));
  } else {
    const Order8 pairs = eight_bytes(compress_order.pairs[mask]);
    store(values, (Vec)__builtin_ia32_permvarsf256((Singles8)v, pairs));
    const Order4 order = four_bytes(compress_order.eight[mask]);
    store_columns(columns, (ColumnVec)__builtin_ia32_vpermilvarps((Singles4)c, order));
  }
  return population(mask);
}

// Returns the products of the low 32 bits of each lane, of 64 bits.
[[gnu::always_inline]] static inline Wide multiply_words(const Wide& a, const Wide& b) {
#if defined(__clang__)
  constexpr std::uint64_t low = 0xFFFFFFFF;
  return (a & low) * (b & low);
#else
  typedef Lane<int> Ints __attribute__((vector_size(32)));
  return (Wide)__builtin_ia32_pmuludq256((Ints)a, (Ints)b);
#endif
}

[[gnu::always_inline]] static inline Vec square_root(const Vec& x) {
#if FILIGREE_HAS_ELEMENTWISE_SQRT
  return __builtin_elementwise_sqrt(x);
#else
  if constexpr (single)
    return (Vec)__builtin_ia32_sqrtps256(x);
  else
    return (Vec)__builtin_ia32_sqrtpd256(x);
#endif
}

[[gnu::always_inline]] static inline Vec load_first(const Scalar* p, Index count) { return load_first_lanes(p, count); }
[[gnu::always_inline]] static inline void store_first(Scalar* p, const Vec& v, Index count) {
  store_first_lanes(p, v, count);
}

[[gnu::always_inline]] static inline Singles half_to_single(const Halves& h) { return half_to_single_lanes(h); }
