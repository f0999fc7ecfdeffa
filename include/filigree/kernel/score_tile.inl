// SPDX-License-Identifier: MIT
// Scores of `height` queries against `width` = cols * lanes keys, kept in registers until they are final.
//
// Each score is one chain of multiply-adds over ascending features, multiplied by the scale. A register holds `lanes`
// keys of one query, so a score does not depend on the shape of its tile. Machine: 2 FMA ports x 4 cycles of latency
// need at least 8 chains. On AVX-512, 6 x 4 = 24 accumulators + 4 keys + 1 broadcast fit in the 32 registers, and one
// iteration does 24 FMAs for 10 loads.

template <int rows, int vectors = cols>
struct Tile {
  Vec s[rows][vectors];
};

// Continues the chains in `acc` over d more features.
template <int rows, int vectors, class Number>
[[gnu::always_inline]] static inline void add_products(const Scalar* q /*[d][height]*/, const Number* k /*[d][width]*/,
                                                       Index d, Vec (&acc)[rows][vectors], Index q_step = height,
                                                       Index k_step = width) {
  FILIGREE_UNROLL_TWICE
  for (Index f = 0; f < d; ++f, q += q_step, k += k_step) {
    Vec key[vectors];
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) key[c] = load(k + c * lanes);
    add_products_of_feature(q, key, acc);
  }
}

template <int rows, int vectors, class Number>
[[gnu::always_inline]] static inline void score_tile(const Scalar* q /*[d][height]*/, const Number* k /*[d][width]*/,
                                                     Index d, Scalar scale, Tile<rows, vectors>& tile) {
  Vec acc[rows][vectors];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[r][c] = Vec{};
  }
  add_products(q, k, d, acc);
  const Vec factor = broadcast(scale);
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) tile.s[r][c] = acc[r][c] * factor;
  }
}

template <class Number>
[[gnu::always_inline]] static inline void score_panel_of(const Scalar* q, Index groups, const Number* k, Index d,
                                                         Scalar scale, Scalar* out, Index stride) {
  for (Index g = 0; g < groups; ++g, q += d * height) {
    Tile<height> tile;
    score_tile<height>(q, k, d, scale, tile);
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, out += stride) {  // incrementing `out` saves g++ registers for strides
      FILIGREE_UNROLL
      for (int c = 0; c < cols; ++c) store(out + c * lanes, tile.s[r][c]);
    }
  }
}

// Computes the scores of `groups` groups of queries against one panel of keys and writes them to memory.
[[gnu::noinline]] static void score_panel(const Scalar* q /*[groups][d][height]*/, Index groups,
                                          const Scalar* k /*[d][width]*/, Index d, Scalar scale,
                                          Scalar* out /*[groups * height][stride]*/, Index stride) {
  score_panel_of(q, groups, k, d, scale, out, stride);
}

// Calls f with the number of rows that is computed for `present` queries of a group: 1, 4 or height.
template <class F>
[[gnu::always_inline]] static inline void with_present(Index present, const F& f) {
  if (present == 1)
    f(std::integral_constant<int, 1>{});
  else if (height > 4 && present <= 4)
    f(std::integral_constant<int, 4>{});
  else
    f(std::integral_constant<int, height>{});
}

// The same for the first `present` queries of one group and keys that are stored in 16 bits. They are widened in
// registers.
static void score_panel_stored(const Scalar* q /*[d][height]*/, Index present,
                               StoredNumbers<Scalar> keys /*[d][width]*/, Index d, Scalar scale,
                               Scalar* out /*[height][stride]*/, Index stride) {
  with_stored(keys, [&](const auto* k) {
    with_present(present, [&](auto count) {
      constexpr int rows = count;
      Tile<rows> tile;
      score_tile<rows>(q, k, d, scale, tile);
      FILIGREE_UNROLL
      for (int r = 0; r < rows; ++r) {
        FILIGREE_UNROLL
        for (int c = 0; c < cols; ++c) store(out + r * stride + c * lanes, tile.s[r][c]);
      }
    });
  });
}

// Computes the scores of one query against the vectors [begin, begin + vectors) of consecutive panels.
template <int vectors>
[[gnu::always_inline]] static inline void score_one_query(const Scalar* q /*[d]*/,
                                                          const Scalar* panels /*[.][d][width]*/, Index begin, Index d,
                                                          const Vec& scale, Scalar* out) {
  const Scalar* key[vectors];
  Vec acc[vectors];
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) {
    key[c] = d > 0 ? panels + (begin + c) / cols * d * width + (begin + c) % cols * lanes : panels;  // may be null
    acc[c] = Vec{};
  }
  for (Index f = 0; f < d; ++f) {
    const Vec query = broadcast(q[f]);
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[c] = multiply_add(query, load(key[c] + f * width), acc[c]);
  }
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) store(out + c * lanes, acc[c] * scale);
}

// Computes the scores of one query against the vectors [begin, end) of consecutive panels. Eight chains at a time hide
// the latency of a multiply-add.
static void score_run(const Scalar* q /*[d]*/, const Scalar* panels /*[.][d][width]*/, Index begin, Index end, Index d,
                      Scalar scale, Scalar* out /*[(end - begin) * lanes]*/) {
  const Vec factor = broadcast(scale);
  for (; begin + 8 <= end; begin += 8, out += 8 * lanes) score_one_query<8>(q, panels, begin, d, factor, out);
  for (; begin + 4 <= end; begin += 4, out += 4 * lanes) score_one_query<4>(q, panels, begin, d, factor, out);
  for (; begin + 2 <= end; begin += 2, out += 2 * lanes) score_one_query<2>(q, panels, begin, d, factor, out);
  for (; begin < end; ++begin, out += lanes) score_one_query<1>(q, panels, begin, d, factor, out);
}

// Computes the scores of one group against `vectors` vectors of a panel, from vector `first` on if it is not the whole
// panel. Writes them at vector `first` of `out`.
template <int vectors = 1, class Number>
static void score_vectors(const Scalar* q, const Number* k, Index d, Scalar scale, Scalar* out /*[height][stride]*/,
                          Index stride, int first, int count) {
  if constexpr (vectors == cols && sizeof(Number) == sizeof(Scalar)) {
    score_panel(q, 1, k, d, scale, out, stride);
  } else if constexpr (vectors == cols) {
    score_panel_of(q, 1, k, d, scale, out, stride);
  } else {
    if (count > vectors) return score_vectors<vectors + 1>(q, k, d, scale, out, stride, first, count);
    Tile<height, vectors> tile;
    score_tile<height>(q, k, d, scale, tile);
    out += first * lanes;
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, out += stride) {
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) store(out + c * lanes, tile.s[r][c]);
    }
  }
}

// Computes the scores of one group against the keys [begin, end) of a panel, rounded outward to whole vectors.
static void score_columns(const Scalar* q, const Scalar* k, Index d, Scalar scale, Scalar* out /*[height][stride]*/,
                          Index stride, Index begin, Index end) {
  const int first = static_cast<int>(begin) / lanes, last = ceil_div(static_cast<int>(end), lanes);
  if (d > 0) k += first * lanes;  // else it may be null
  score_vectors(q, k, d, scale, out, stride, first, last - first);
}
static void score_columns_stored(const Scalar* q, StoredNumbers<Scalar> keys, Index d, Scalar scale, Scalar* out,
                                 Index stride, Index begin, Index end) {
  const int first = static_cast<int>(begin) / lanes, last = ceil_div(static_cast<int>(end), lanes);
  with_stored(d > 0 ? keys.from(first * lanes) : keys,
              [&](const auto* k) { score_vectors(q, k, d, scale, out, stride, first, last - first); });
}

// Computes the scores of one group against `vectors` vectors of keys that are anywhere in memory: the features of
// vector c are `width` numbers apart from keys[c] on. Writes them at column at[c].
template <int vectors>
[[gnu::always_inline]] static inline void score_listed_vectors(const Scalar* q /*[d][height]*/,
                                                               const Scalar* const* keys, const Column* at, Index d,
                                                               Scalar scale, Scalar* out /*[height][stride]*/,
                                                               Index stride) {
  const Scalar* k[vectors];
  Vec acc[height][vectors];
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) {
    k[c] = keys[c];
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r) acc[r][c] = Vec{};
  }
  FILIGREE_UNROLL_TWICE
  for (Index f = 0; f < d; ++f, q += height) {
    Vec key[vectors];
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c, k[c - 1] += width) key[c] = load(k[c]);
    add_products_of_feature(q, key, acc);
  }
  const Vec factor = broadcast(scale);
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) {
    Scalar* to = out + at[c];
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, to += stride) store(to, acc[r][c] * factor);
  }
}

// Computes the scores of one group against `count` vectors of keys, as many at a time as the registers hold.
template <int vectors = cols>
static void score_listed(const Scalar* q, const Scalar* const* keys, const Column* at, Index count, Index d,
                         Scalar scale, Scalar* out, Index stride) {
  for (; count >= vectors; count -= vectors, keys += vectors, at += vectors)
    score_listed_vectors<vectors>(q, keys, at, d, scale, out, stride);
  if constexpr (vectors > 1)
    if (count > 0) score_listed<vectors - 1>(q, keys, at, count, d, scale, out, stride);
}

// Replaces the scores of `rows` rows that are outside the columns [begin[r], end[r]) by -inf. `first` and `last` are
// multiples of lanes.
static void keep_columns(Scalar* tile /*[rows][stride]*/, Index stride, Index rows, Index first, Index last,
                         const Column* begin, const Column* end) {
  Mask index{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) index[l] = l;
  for (Index r = 0; r < rows; ++r, tile += stride) {
    const Mask low = Mask{} + static_cast<Bits>(begin[r]), high = Mask{} + static_cast<Bits>(end[r]);
    for (Index c = first; c < last; c += lanes) {
      const Mask column = index + static_cast<Bits>(c);
      store(tile + c, ((column >= low) & (column < high)) != 0 ? load(tile + c) : broadcast(-infinity));
    }
  }
}
