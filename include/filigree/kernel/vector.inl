// SPDX-License-Identifier: MIT
// The vector types of one instruction set. `Scalar` is float or double, a register holds `lanes` numbers, and a tile of
// scores has `height` queries and `width` keys.
static constexpr bool single = std::is_same_v<Scalar, float>;
using Bits = std::conditional_t<single, std::int32_t, std::int64_t>;

static constexpr int lanes = sizes.vector_bytes / static_cast<int>(sizeof(Scalar)), cols = sizes.vectors;
static constexpr int width = lanes * cols, height = sizes.queries;
static constexpr int group = 8;  // number of lists that are reduced together

typedef Scalar Vec __attribute__((vector_size(sizeof(Scalar) * lanes)));
typedef Bits Mask __attribute__((vector_size(sizeof(Scalar) * lanes)));
// T itself, as a type that depends on Scalar. g++ requires this for vectors whose size depends on Scalar.
template <class T>
using Lane = std::conditional_t<single, T, T>;
typedef Lane<Column> ColumnVec __attribute__((vector_size(sizeof(Column) * lanes)));

static constexpr Bits sign_bit = static_cast<Bits>(1) << (8 * sizeof(Bits) - 2) << 1;
// Predicates of x86 comparisons that are true for NaN and raise no floating-point exception.
static constexpr int not_less = 0x15, not_less_equal = 0x16;
static constexpr Scalar infinity = static_cast<Scalar>(__builtin_inf());
static constexpr Scalar smallest_normal = single ? Scalar(0x1p-126) : Scalar(0x1p-1022);

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
// Loads or stores the first `count` lanes, fewer than a vector.
[[gnu::always_inline]] static inline Vec load_first(const Scalar* p, Index count) {
  Vec v{};
  for (int l = 0; l < count; ++l) v[l] = p[l];
  return v;
}
[[gnu::always_inline]] static inline void store_first(Scalar* p, const Vec& v, Index count) {
  for (int l = 0; l < count; ++l) p[l] = v[l];
}
[[gnu::always_inline]] static inline Vec broadcast(Scalar x) { return x - Vec{}; }
[[gnu::always_inline]] static inline ColumnVec iota() {
  ColumnVec v{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) v[l] = l;
  return v;
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
