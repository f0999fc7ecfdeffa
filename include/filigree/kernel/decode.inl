// SPDX-License-Identifier: MIT
// Attention of a few queries, as in decoding. K and V are read once, so these kernels prefetch them from memory, and
// keys need not be packed: a block of lanes x lanes numbers is transposed in registers. The queries are packed as
// groups [d][rows] of 1, 2, 4 or `height` rows. Each score and each output is the same chain of operations as in the
// kernels for many queries.

// Returns the smallest size of a group that has `present` rows.
static constexpr Index few_rows(Index present) {
  return present <= 1 ? 1 : present <= 2 ? 2 : present <= 4 && height > 4 ? 4 : height;
}
// Calls f(std::integral_constant<int, rows>) for a size of a group.
template <class F>
[[gnu::always_inline]] static inline void with_rows(Index rows, const F& f) {
  if (rows == 1) return f(std::integral_constant<int, 1>());
  if (rows == 2) return f(std::integral_constant<int, 2>());
  if constexpr (height > 4)
    if (rows == 4) return f(std::integral_constant<int, 4>());
  f(std::integral_constant<int, height>());
}

static constexpr int cache_line = 64;

// Computes the scores of a group against `vectors` vectors of a packed panel.
template <int rows, int vectors>
[[gnu::always_inline]] static inline void score_few_vectors(const Scalar* q /*[d][rows]*/, const Scalar* k, Index d,
                                                            const Vec& factor, Scalar* out /*[rows][stride]*/,
                                                            Index stride) {
  constexpr Index ahead = 16 * width;  // in the next features or the next panel
  Vec acc[rows][vectors];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[r][c] = Vec{};
  }
  for (Index f = 0; f < d; ++f, q += rows, k += width) {
    Vec key[vectors];
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) {
      key[c] = load(k + c * lanes);
      if (c * sizes.vector_bytes % cache_line == 0) __builtin_prefetch(k + ahead + c * lanes);
    }
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const Vec query = broadcast(q[r]);
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) acc[r][c] = multiply_add(query, key[c], acc[r][c]);
    }
  }
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r, out += stride) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) store(out + c * lanes, acc[r][c] * factor);
  }
}

// Computes the scores of a group of `rows` queries against the keys [begin, end) of a packed panel, rounded outward to
// whole vectors.
static void score_few(const Scalar* q /*[d][rows]*/, Index rows, const Scalar* k /*[d][width]*/, Index d, Scalar scale,
                      Scalar* out /*[rows][stride]*/, Index stride, Index begin, Index end) {
  const Vec factor = broadcast(scale);
  with_rows(rows, [&](auto n) {
    Index c = begin / lanes * lanes;
    if (c == 0 && end > width - lanes) return score_few_vectors<n.value, cols>(q, k, d, factor, out, stride);
    for (; c < end; c += lanes) score_few_vectors<n.value, 1>(q, k + c, d, factor, out + c, stride);
  });
}

template <int rows>
[[gnu::always_inline]] static inline void add_products_of_key(const Scalar* q /*[rows]*/, const Vec& key,
                                                              Vec (&acc)[rows]) {
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = multiply_add(broadcast(q[r]), key, acc[r]);
}

// Computes the scores of a group against one vector of keys that are rows in memory.
template <int rows>
[[gnu::always_inline]] static inline void score_key_rows(const Scalar* q /*[d][rows]*/, const Scalar* const* key,
                                                         Index ahead, Index d, const Vec& factor, Scalar* out,
                                                         Index stride) {
  Vec acc[rows];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = Vec{};
  Index f = 0;
  for (; f + lanes <= d; f += lanes) {
    Vec v[lanes];
    FILIGREE_UNROLL
    for (int l = 0; l < lanes; ++l) {
      v[l] = load(key[l] + f);
      if (f * sizeof(Scalar) % cache_line == 0) __builtin_prefetch(key[l] + ahead + f, 0, 2);
    }
    transpose(v);
    FILIGREE_UNROLL
    for (int l = 0; l < lanes; ++l, q += rows) add_products_of_key(q, v[l], acc);
  }
  for (; f < d; ++f, q += rows) {
    Vec k{};
    for (int l = 0; l < lanes; ++l) k[l] = key[l][f];
    add_products_of_key(q, k, acc);
  }
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) store(out + r * stride, acc[r] * factor);
}

// Computes the scores of a group of `rows` queries against `count` keys that are rows in memory, in whole vectors. The
// scores after the last key are those of the last key. Prefetches the numbers `ahead` after those that it reads.
static void score_rows(const Scalar* q /*[d][rows]*/, Index rows, const Scalar* k /*[count][k_stride]*/, Index k_stride,
                       Index count, Index d, Index ahead, Scalar scale, Scalar* out /*[rows][stride]*/, Index stride) {
  const Vec factor = broadcast(scale);
  with_rows(rows, [&](auto n) {
    for (Index c = 0; c < count; c += lanes) {
      const Scalar* key[lanes];
      FILIGREE_UNROLL
      for (int l = 0; l < lanes; ++l) key[l] = k + (c + l < count ? c + l : count - 1) * k_stride;
      score_key_rows<n.value>(q, key, ahead, d, factor, out + c, stride);
    }
  });
}

// Adds the products of weights and `vectors` vectors of each row of V to `out`, as accumulate_values().
template <int rows, int vectors>
[[gnu::always_inline]] static inline void accumulate_few_vectors(const Scalar* w /*[rows][stride]*/, Index stride,
                                                                 Index count, const Scalar* v, Index v_stride,
                                                                 Index ahead, Scalar* out /*[rows][out_stride]*/,
                                                                 Index out_stride) {
  Vec acc[rows][vectors];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[r][c] = load(out + r * out_stride + c * lanes);
  }
  for (Index j = 0; j < count; ++j, ++w, v += v_stride) {
    Vec value[vectors];
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) {
      value[c] = load(v + c * lanes);
      if (c * sizes.vector_bytes % cache_line == 0) __builtin_prefetch(v + ahead + c * lanes, 0, 2);
    }
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const Vec weight = broadcast(w[r * stride]);
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) acc[r][c] = multiply_add(weight, value[c], acc[r][c]);
    }
  }
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) store(out + r * out_stride + c * lanes, acc[r][c]);
  }
}

// Adds the products of the weights of a group and `count` rows of V to its outputs. Prefetches the numbers `ahead`
// after those that it reads.
static void accumulate_few(const Scalar* w /*[rows][stride]*/, Index rows, Index stride, Index count,
                           const Scalar* v /*[count][v_stride]*/, Index v_stride, Index dv, Index ahead,
                           SoftmaxState<Scalar> to) {
  const RoundToNearest rounding;
  with_rows(rows, [&](auto n) {
    Index f = 0;
    for (; f + width <= dv; f += width)
      accumulate_few_vectors<n.value, cols>(w, stride, count, v + f, v_stride, ahead, to.out + f, to.stride);
    for (; f < dv; f += lanes)
      accumulate_few_vectors<n.value, 1>(w, stride, count, v + f, v_stride, ahead, to.out + f, to.stride);
  });
}

// Replaces the scores of a group by exp(score - maximum), and stores the maximum and the sum of each row.
static void exponentiate_few(Scalar* tile /*[rows][stride]*/, Index rows, Index stride, const Segment* segments,
                             Index count, SoftmaxState<Scalar> to) {
  const RoundToNearest rounding;
  with_rows(rows, [&](auto n) { exponentiate<n.value>(tile, stride, segments, count, to); });
}
