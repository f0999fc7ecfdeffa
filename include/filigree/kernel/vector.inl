// SPDX-License-Identifier: MIT
// The vector types of one level, and the operations on them that are the same for all levels. `Scalar` is float or
// double, a register holds `lanes` numbers, and a tile of scores has `height` queries and `width` keys.
static constexpr bool single = std::is_same_v<Scalar, float>;
using Bits = std::conditional_t<single, std::int32_t, std::int64_t>;

static constexpr int lanes = sizes.vector_bytes / static_cast<int>(sizeof(Scalar)), cols = sizes.vectors;
static constexpr int width = lanes * cols, height = sizes.queries;
static constexpr unsigned all_lanes = (1U << lanes) - 1;
static constexpr int group = 8;  // number of lists that are reduced together

typedef Scalar Vec __attribute__((vector_size(sizeof(Scalar) * lanes)));
typedef Bits Mask __attribute__((vector_size(sizeof(Scalar) * lanes)));
typedef std::conditional_t<single, std::uint32_t, std::uint64_t> UnsignedMask
    __attribute__((vector_size(sizeof(Scalar) * lanes)));
// T itself, as a type that depends on Scalar. g++ requires this for vectors whose size depends on Scalar.
template <class T>
using Lane = std::conditional_t<single, T, T>;
typedef Lane<Column> ColumnVec __attribute__((vector_size(sizeof(Column) * lanes)));
typedef Lane<std::uint64_t> Wide __attribute__((vector_size(sizeof(Scalar) * lanes)));

static constexpr Bits sign_bit = static_cast<Bits>(1) << (8 * sizeof(Bits) - 2) << 1;
static constexpr Scalar infinity = static_cast<Scalar>(__builtin_inf());
static constexpr Scalar smallest_normal = single ? Scalar(0x1p-126) : Scalar(0x1p-1022);

// Returns the smallest integer >= a / b, for a >= 0 and b > 0.
template <class Int>
[[gnu::always_inline]] static constexpr Int ceil_div(Int a, std::type_identity_t<Int> b) {
  return (a + b - 1) / b;
}

[[gnu::always_inline]] static inline Vec load(const Scalar* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] static inline ColumnVec load_columns(const Column* p) {
  ColumnVec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] static inline void store(Scalar* p, const Vec& v) { __builtin_memcpy(p, &v, sizeof v); }
[[gnu::always_inline]] static inline void store_columns(Column* p, const ColumnVec& v) {
  __builtin_memcpy(p, &v, sizeof v);
}
// Loads or stores the first `count` lanes, fewer than a vector; the others are 0.
[[gnu::always_inline]] static inline Vec load_first_lanes(const Scalar* p, Index count) {
  Vec v{};
  for (int l = 0; l < count; ++l) v[l] = p[l];
  return v;
}
[[gnu::always_inline]] static inline void store_first_lanes(Scalar* p, const Vec& v, Index count) {
  for (int l = 0; l < count; ++l) p[l] = v[l];
}
[[gnu::always_inline]] static inline Vec broadcast(Scalar x) { return x - Vec{}; }
[[gnu::always_inline]] static inline ColumnVec iota() {
  ColumnVec v{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) v[l] = l;
  return v;
}

// Returns a * b + c, rounded once.
[[gnu::always_inline]] static inline Vec multiply_add_lanes(const Vec& a, const Vec& b, const Vec& c) {
  Vec result{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) {
    if constexpr (single)
      result[l] = __builtin_fmaf(a[l], b[l], c[l]);
    else
      result[l] = __builtin_fma(a[l], b[l], c[l]);
  }
  return result;
}

// Returns the square root of each lane.
[[gnu::always_inline]] static inline Vec square_root_lanes(const Vec& x) {
  Vec result{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) {
    if constexpr (single)
      result[l] = __builtin_sqrtf(x[l]);
    else
      result[l] = __builtin_sqrt(x[l]);
  }
  return result;
}

// Returns p * 2^n; exactly 0 where x < least, NaN where x is NaN. The low bits of `shifted` hold n as an integer, which
// is added to the exponent of p.
[[gnu::always_inline]] static inline Vec add_to_exponent(const Vec& p, const Vec& shifted, const Vec& x,
                                                         const Vec& least) {
  constexpr int mantissa = single ? 23 : 52;
  const Vec result = (Vec)((UnsignedMask)p + ((UnsignedMask)shifted << mantissa));  // may wrap where x < least
  return x < least ? Vec{} : x == x ? result : x;
}

// Adds q[r] * key[c] to acc[r][c]. Each number of q is broadcast from memory.
template <int rows, int vectors>
[[gnu::always_inline]] static inline void add_broadcast_products(const Scalar* q /*[rows]*/, const Vec (&key)[vectors],
                                                                 Vec (&acc)[rows][vectors]) {
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    const Vec query = broadcast(q[r]);
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[r][c] = multiply_add(query, key[c], acc[r][c]);
  }
}

// Writes the lanes of v and c whose mask bit is set, contiguously, and returns their number. Stores at most a vector.
[[gnu::always_inline]] static inline int append_lanes(Scalar* values, Column* columns, const Vec& v, const ColumnVec& c,
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

// Returns v with its lanes exchanged at the given distance.
template <int distance, int... At>
[[gnu::always_inline]] static inline Vec exchanged(const Vec& v, std::integer_sequence<int, At...>) {
  return __builtin_shufflevector(v, v, (At ^ distance)...);
}
// Returns the largest lane, ignoring NaN. Lanes are compared at distances 1, 2, 4, ...
template <int distance = 1>
[[gnu::always_inline]] static inline Scalar largest(const Vec& v) {
  if constexpr (distance < lanes) {
    const Vec other = exchanged<distance>(v, std::make_integer_sequence<int, lanes>{});
    return largest<2 * distance>(other > v ? other : v);
  } else {
    return v[0];
  }
}

// Returns the sum of the lanes, adding at distances 1, 2, 4, ...
template <int distance = 1>
[[gnu::always_inline]] static inline Scalar sum(const Vec& v) {
  if constexpr (distance < lanes)
    return sum<2 * distance>(v + exchanged<distance>(v, std::make_integer_sequence<int, lanes>{}));
  else
    return v[0];
}

// Calls take(chain, vector) for each vector of values[0, padded). The chains are independent to hide latency.
static constexpr int chains = 4;
template <class Take>
[[gnu::always_inline]] static inline void sweep(const Scalar* values, Index padded, const Take& take) {
  Index i = 0;
  for (; i + chains * lanes <= padded; i += chains * lanes) {
    FILIGREE_UNROLL
    for (int c = 0; c < chains; ++c) take(c, load(values + i + c * lanes));
  }
  for (; i < padded; i += lanes) take(0, load(values + i));
}

// Calls f(i, at) for each vector of an array of `count` numbers, which begins at number i. at.load(p) and
// at.store(p, v) access a whole vector, or the numbers that are left.
struct WholeVector {
  [[gnu::always_inline]] inline Vec load(const Scalar* p) const { return Level::load(p); }
  [[gnu::always_inline]] inline void store(Scalar* p, const Vec& v) const { Level::store(p, v); }
};
struct FirstLanes {
  Index count;

  [[gnu::always_inline]] inline Vec load(const Scalar* p) const { return load_first(p, count); }
  [[gnu::always_inline]] inline void store(Scalar* p, const Vec& v) const { store_first(p, v, count); }
};
template <class F>
[[gnu::always_inline]] static inline void for_vectors(Index count, const F& f) {
  Index i = 0;
  for (; i + lanes <= count; i += lanes) f(i, WholeVector{});
  if (i < count) f(i, FirstLanes{count - i});
}

typedef Lane<std::uint16_t> Halves __attribute__((vector_size(2 * lanes)));
typedef Lane<std::int32_t> Words __attribute__((vector_size(4 * lanes)));
typedef Lane<float> Singles __attribute__((vector_size(4 * lanes)));

// Returns IEEE binary16 numbers as floats: 5 bits of exponent with bias 15 (float: 127) and 10 bits of fraction.
[[gnu::always_inline]] static inline Singles half_to_single_lanes(const Halves& numbers) {
  const Words h = __builtin_convertvector(numbers, Words);
  const Words size = (h & 0x7fff) << 13;
  // Numbers below 2^-14 have no leading 1: it is added and then subtracted. No number here is subnormal as a float, so
  // the result is correct if the processor flushes subnormals to 0.
  // The sign is cleared because the difference 0 is -0 when the processor rounds downward.
  const Words tiny = (Words)((Singles)(size + (113 << 23)) - 0x1p-14F) & 0x7fffffff;
  const Words normal = size + (112 << 23), infinite_or_nan = size + (224 << 23);
  const Words large = size < (31 << 23) ? normal : infinite_or_nan;
  return (Singles)((size < (1 << 23) ? tiny : large) | (h & 0x8000) << 16);
}
