// SPDX-License-Identifier: MIT
// Members of a level: fused, multiply_add, add_products_of_feature, times_power_of_two, above, at_least, population,
// append, multiply_words, square_root, load_first, store_first, half_to_single; nothing else.
//
// NEON of 64-bit ARM. Its multiply-add takes a factor from one lane of a register. Queries are therefore loaded as
// vectors, and no instruction broadcasts them. 6 x 4 = 24 accumulators, 4 keys and 2 vectors of queries (3 of double)
// fit in the 32 registers. Up to 4 pipes x 4 cycles of latency need 16 chains. Builtins replace intrinsics, because
// <arm_neon.h> takes half of the compile time of Eigen.

static constexpr bool fused = true;
// Returns a * b + c, rounded once at every optimization level of the compiler.
[[gnu::always_inline]] static inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
#if FILIGREE_HAS_ELEMENTWISE_FMA
  return __builtin_elementwise_fma(a, b, c);
#elif defined(__clang__)
  return multiply_add_lanes(a, b, c);
#else
  if constexpr (single)
    return (Vec)__builtin_aarch64_fmav4sf(a, b, c);
  else
    return (Vec)__builtin_aarch64_fmav2df(a, b, c);
#endif
}

// Returns a vector whose lanes are all v[lane]. The compiler makes it an operand of the multiply-add.
template <int lane, int... At>
[[gnu::always_inline]] static inline Vec broadcast_lane(const Vec& v, std::integer_sequence<int, At...>) {
  return __builtin_shufflevector(v, v, (0 * At + lane)...);
}
template <int lane, int vectors>
[[gnu::always_inline]] static inline void add_products_of_lane(const Vec& q, const Vec (&key)[vectors],
                                                               Vec (&acc)[vectors]) {
  const Vec query = broadcast_lane<lane>(q, std::make_integer_sequence<int, lanes>{});
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) acc[c] = multiply_add(query, key[c], acc[c]);
}
// Returns the first number of a vector of q[0, rows). The last vector ends at `rows` and may overlap the preceding one.
template <int rows>
[[gnu::always_inline]] static constexpr int first_of(int vector) {
  return (vector + 1) * lanes <= rows ? vector * lanes : rows - lanes;
}
template <int rows, int vectors, int... r>
[[gnu::always_inline]] static inline void add_products_by_lane(const Scalar* q, const Vec (&key)[vectors],
                                                               Vec (&acc)[rows][vectors],
                                                               std::integer_sequence<int, r...>) {
  constexpr int count = ceil_div(rows, lanes);
  Vec query[count];
  FILIGREE_UNROLL
  for (int i = 0; i < count; ++i) query[i] = load(q + first_of<rows>(i));
  (add_products_of_lane<r - first_of<rows>(r / lanes)>(query[r / lanes], key, acc[r]), ...);
}
// Adds q[r] * key[c] to acc[r][c].
template <int rows, int vectors>
[[gnu::always_inline]] static inline void add_products_of_feature(const Scalar* q /*[rows]*/, const Vec (&key)[vectors],
                                                                  Vec (&acc)[rows][vectors]) {
  if constexpr (rows < lanes)  // whole vectors of queries cannot be read
    add_broadcast_products(q, key, acc);
  else
    add_products_by_lane(q, key, acc, std::make_integer_sequence<int, rows>{});
}

// Returns p * 2^n; exactly 0 where x < least, NaN where x is NaN. The low bits of `shifted` hold n as an integer.
[[gnu::always_inline]] static inline Vec times_power_of_two(const Vec& p, const Vec& /*n*/, const Vec& shifted,
                                                            const Vec& x, const Vec& least) {
  return add_to_exponent(p, shifted, x, least);
}

// Returns a mask whose bit l is set if lane l of the comparison result is false. One instruction sums one bit per lane.
[[gnu::always_inline]] static inline unsigned false_lanes(const Mask& result) {
  if constexpr (single) {
    const Mask bits = ~result & Mask{1, 2, 4, 8};
#if defined(__clang__)
    return static_cast<unsigned>(__builtin_neon_vaddvq_s32(bits));
#else
    return static_cast<unsigned>(__builtin_aarch64_reduc_plus_scal_v4si(bits));
#endif
  } else {
    const Mask bits = ~result & Mask{1, 2};
    return static_cast<unsigned>(bits[0] + bits[1]);
  }
}
[[gnu::always_inline]] static inline unsigned above(const Vec& v, const Vec& t) {  // bit l: v[l] > t[l] or NaN
  return false_lanes(v <= t);
}
[[gnu::always_inline]] static inline unsigned at_least(const Vec& v, const Vec& t) {  // bit l: v[l] >= t[l] or NaN
  return false_lanes(v < t);
}

// A table of 4-bit numbers: an instruction for it exists only for vectors.
[[gnu::always_inline]] static inline int population(unsigned mask) {
  return static_cast<int>(0x4332322132212110U >> 4 * mask & 7U);
}

typedef unsigned char Bytes __attribute__((vector_size(16)));
[[gnu::always_inline]] static inline Bytes permuted(const Bytes& v, const Bytes& order) {
#if defined(__clang__)
  return (Bytes)__builtin_neon_vqtbl1q_v(v, order, 48);  // 48: the result is a vector of unsigned bytes
#else
  return __builtin_shuffle(v, order);
#endif
}

// Writes the lanes of v and c whose mask bit is set, contiguously, and returns their number. Stores at most a vector.
[[gnu::always_inline]] static inline int append(Scalar* values, Column* columns, const Vec& v, const ColumnVec& c,
                                                unsigned mask) {
  if constexpr (single) {
    Bytes order;
    __builtin_memcpy(&order, compress_order.quads[mask], sizeof order);
    store(values, (Vec)permuted((Bytes)v, order));
    store_columns(columns, (ColumnVec)permuted((Bytes)c, order));
    return population(mask);
  } else {
    return append_lanes(values, columns, v, c, mask);
  }
}

// Returns the products of the low 32 bits of each lane, of 64 bits.
[[gnu::always_inline]] static inline Wide multiply_words(const Wide& a, const Wide& b) {
  typedef Lane<std::uint32_t> Halves2 __attribute__((vector_size(8)));
  typedef Lane<std::uint64_t> Whole __attribute__((vector_size(16)));
  const Halves2 x = __builtin_convertvector(a, Halves2), y = __builtin_convertvector(b, Halves2);
  return (Wide)(__builtin_convertvector(x, Whole) * __builtin_convertvector(y, Whole));
}

[[gnu::always_inline]] static inline Vec square_root(const Vec& x) {
#if FILIGREE_HAS_ELEMENTWISE_SQRT
  return __builtin_elementwise_sqrt(x);
#elif defined(__clang__)
  return square_root_lanes(x);
#else
  if constexpr (single)
    return (Vec)__builtin_aarch64_sqrtv4sf(x);
  else
    return (Vec)__builtin_aarch64_sqrtv2df(x);
#endif
}

[[gnu::always_inline]] static inline Vec load_first(const Scalar* p, Index count) { return load_first_lanes(p, count); }
[[gnu::always_inline]] static inline void store_first(Scalar* p, const Vec& v, Index count) {
  store_first_lanes(p, v, count);
}

[[gnu::always_inline]] static inline Singles half_to_single(const Halves& h) { return half_to_single_lanes(h); }
