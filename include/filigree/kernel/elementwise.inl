// SPDX-License-Identifier: MIT
// Rows of a dense source, where -inf stands for an absent entry: selections by value alone, and what the rows are read
// and written with. `from` and `to` are the same array or do not overlap. No kernel reads or writes beyond its arrays.

// Sets to[i] = f(from[i]) for whole vectors. The last vector of a long array ends at the end of the array.
template <class F>
[[gnu::always_inline]] static inline void transform(const Scalar* from, Scalar* to, Index count, const F& f) {
  if (count < lanes) {
    store_first(to, f(load_first(from, count)), count);
    return;
  }
  const Vec last = load(from + count - lanes);  // before it is overwritten
  for (Index i = 0; i + lanes <= count; i += lanes) store(to + i, f(load(from + i)));
  store(to + count - lanes, f(last));
}

// Keeps values above the bound and NaN. Other values become `absent`.
static void select_above(const Scalar* from, Scalar* to, Index count, Scalar bound, Scalar absent) {
  const Vec limit = broadcast(bound), none = broadcast(absent);
  transform(from, to, count, [&](const Vec& x) { return x <= limit ? none : x; });
}
// Keeps magnitudes above the bound and NaN.
static void select_magnitudes(const Scalar* from, Scalar* to, Index count, Scalar bound, Scalar absent) {
  const Vec limit = broadcast(bound), none = broadcast(absent), gap = broadcast(-infinity);
  transform(from, to, count, [&](const Vec& x) { return ((absolute(x) <= limit) | (x == gap)) ? none : x; });
}
// Keeps magnitudes above the bound, reduced by the bound, and NaN.
static void shrink_magnitudes(const Scalar* from, Scalar* to, Index count, Scalar bound, Scalar absent) {
  const Vec limit = broadcast(bound), none = broadcast(absent), gap = broadcast(-infinity);
  transform(from, to, count,
            [&](const Vec& x) { return ((absolute(x) <= limit) | (x == gap)) ? none : x - with_sign_of(limit, x); });
}
// Replaces -inf by `absent`.
static void replace_absent(const Scalar* from, Scalar* to, Index count, Scalar absent) {
  const Vec none = broadcast(absent), gap = broadcast(-infinity);
  transform(from, to, count, [&](const Vec& x) { return x == gap ? none : x; });
}
// Returns true if any value is -inf.
static bool any_absent(const Scalar* values, Index count) {
  const Vec gap = broadcast(-infinity);
  Mask found{};
  Index i = 0;
  for (; i + lanes <= count; i += lanes) found |= load(values + i) == gap;
  bool any = false;
  for (; i < count; ++i) any = any || values[i] == -infinity;
  for (int l = 0; l < lanes; ++l) any = any || found[l] != 0;
  return any;
}

// One step of a transposition: exchanges the blocks of the given distance above and below the diagonal.
template <int distance, int... At>
[[gnu::always_inline]] static inline void exchange_blocks(Vec& a, Vec& b, std::integer_sequence<int, At...>) {
  const Vec upper = __builtin_shufflevector(a, b, ((At & distance) == 0 ? At : lanes + At - distance)...);
  b = __builtin_shufflevector(a, b, ((At & distance) == 0 ? At + distance : lanes + At)...);
  a = upper;
}
template <int distance = 1>
[[gnu::always_inline]] static inline void transpose_registers(Vec (&rows)[lanes]) {
  if constexpr (distance < lanes) {
    FILIGREE_UNROLL
    for (int r = 0; r < lanes; ++r)
      if ((r & distance) == 0)
        exchange_blocks<distance>(rows[r], rows[r + distance], std::make_integer_sequence<int, lanes>{});
    transpose_registers<2 * distance>(rows);
  }
}
// Writes the transposed tile of lanes x lanes numbers, with -inf replaced.
[[gnu::always_inline]] static inline void transpose_tile(const Scalar* from, Index from_stride, Scalar* to,
                                                         Index to_stride, const Vec& none) {
  const Vec gap = broadcast(-infinity);
  Vec tile[lanes];
  FILIGREE_UNROLL
  for (int r = 0; r < lanes; ++r) {
    const Vec x = load(from + r * from_stride);
    tile[r] = x == gap ? none : x;
  }
  transpose_registers(tile);
  FILIGREE_UNROLL
  for (int r = 0; r < lanes; ++r) store(to + r * to_stride, tile[r]);
}
// Writes to[j * to_stride + i] = from[i * from_stride + j] for all i < rows and j < columns, with -inf replaced. The
// inner loop runs along the smaller dimension, so that the pieces of the long rows or columns follow each other.
static void transpose(const Scalar* from, Index from_stride, Index rows, Index columns, Scalar* to, Index to_stride,
                      Scalar absent) {
  const Vec none = broadcast(absent);
  const Index whole_rows = rows / lanes * lanes, whole_columns = columns / lanes * lanes;
  const bool by_row = rows > columns;
  const Index outer = by_row ? whole_rows : whole_columns, inner = by_row ? whole_columns : whole_rows;
  for (Index o = 0; o < outer; o += lanes)
    for (Index n = 0; n < inner; n += lanes) {
      const Index i = by_row ? o : n, j = by_row ? n : o;
      transpose_tile(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride, none);
    }
  for (Index j = 0; j < columns; ++j)
    for (Index i = j < whole_columns ? whole_rows : 0; i < rows; ++i) {
      const Scalar x = from[i * from_stride + j];
      to[j * to_stride + i] = x == -infinity ? absent : x;
    }
}
