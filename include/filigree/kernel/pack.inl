// SPDX-License-Identifier: MIT
// Packs keys and queries in the layout of the score kernel: a panel of `width` keys is transposed to [d][width], a
// group of `height` queries to [d][height].

// One round of the transposition of lanes x lanes numbers: swaps off-diagonal blocks of distance x distance numbers.
// Reference: Eklundh, IEEE Transactions on Computers C-21 (1972), 801-803.
template <int distance, int... At>
[[gnu::always_inline]] static inline void exchange_blocks(Vec* v, std::integer_sequence<int, At...>) {
  FILIGREE_UNROLL
  for (int r = 0; r < lanes; ++r) {
    if ((r & distance) != 0) continue;
    const Vec a = v[r], b = v[r + distance];
    v[r] = __builtin_shufflevector(a, b, ((At & distance) != 0 ? lanes + At - distance : At)...);
    v[r + distance] = __builtin_shufflevector(a, b, ((At & distance) != 0 ? lanes + At : At + distance)...);
  }
}
template <int distance = 1>
[[gnu::always_inline]] static inline void transpose(Vec* v /*[lanes]*/) {
  if constexpr (distance < lanes) {
    exchange_blocks<distance>(v, std::make_integer_sequence<int, lanes>{});
    transpose<2 * distance>(v);
  }
}

// Copies the features [f, f + lanes) of the rows row[0], ..., row[lanes - 1] to the columns of `out`, and prefetches
// those of the rows next[0], ..., next[lanes - 1]. This is not inlined, because it is the longest part of all packing.
[[gnu::noinline]] static void transpose_features(const Scalar* const* row, const Scalar* const* next, Index f,
                                                 Scalar* out /*[lanes][step]*/, Index step) {
  Vec v[lanes];
  FILIGREE_UNROLL
  for (int r = 0; r < lanes; ++r) {
    v[r] = load(row[r] + f);
    __builtin_prefetch(next[r] + f, 0, 2);
  }
  transpose(v);
  FILIGREE_UNROLL
  for (int r = 0; r < lanes; ++r) store(out + r * step, v[r]);
}

// Packs the rows row(0), ..., row(lanes - 1) as `lanes` columns of a panel with `step` columns. Rows from `count` on
// are packed as 0. The rows next(r), which are packed next, are prefetched: a processor does not recognize the order in
// which rows are read.
template <class RowOf, class NextRow>
[[gnu::always_inline]] static inline void pack_lanes(const RowOf& row, const NextRow& next, Index count, Index d,
                                                     Scalar* out /*[d][step]*/, Index step = width) {
  Index f = 0;
  if (count >= lanes && d >= lanes) {
    const Scalar *rows[lanes], *next_rows[lanes];
    for (int r = 0; r < lanes; ++r) {
      rows[r] = row(r);
      next_rows[r] = next(r);
    }
    for (; f + lanes <= d; f += lanes) transpose_features(rows, next_rows, f, out + f * step, step);
  } else if (count <= 0) {
    for (; f < d; ++f) store(out + f * step, Vec{});
  }
  for (; f < d; ++f)
    for (int r = 0; r < lanes; ++r) out[f * step + r] = r < count ? row(r)[f] : Scalar(0);
}

// Packs `count` rows as a panel. Its rows from `count` on are 0.
static void pack_panel(const Scalar* rows /*[count][stride]*/, Index stride, Index count, Index d,
                       Scalar* out /*[d][width]*/) {
  for (int c = 0; c < width; c += lanes)
    pack_lanes([&](Index r) { return rows + (c + r) * stride; },
               [&](Index r) { return rows + (c + lanes + r) * stride; }, count - c, d, out + c);
}

// The same for the rows given by `columns`. Vectors without a row are not written.
static void gather_panel(const Scalar* rows /*[m][stride]*/, Index stride, const Column* columns, Index count, Index d,
                         Scalar* out /*[d][width]*/) {
  if (d == 0) return;  // rows and out may be null
  Index c = 0;
  const auto row_of = [&](Index i) { return rows + columns[i < count ? i : count - 1] * stride; };
  for (; c + lanes <= count; c += lanes)
    pack_lanes([&](Index r) { return rows + columns[c + r] * stride; }, [&](Index r) { return row_of(c + lanes + r); },
               lanes, d, out + c);
  if (c == count) return;
  // The last key fills the unused lanes, because the score kernel reads whole vectors.
  pack_lanes([&](Index r) { return row_of(c + r); }, [&](Index r) { return row_of(c + r); }, lanes, d, out + c);
}

// Packs a group of queries. Vectors of features are transposed as for keys. The lanes after the last query of a vector
// are not used: they are overwritten by the vector that is stored next.
static void pack_group(const Scalar* rows /*[height][stride]*/, Index stride, Index d, Scalar* out /*[d][height]*/) {
  if (d == 0) return;  // rows and out may be null
  constexpr int vectors = ceil_div(height, lanes);
  const Scalar *row[vectors * lanes], *next[vectors * lanes];
  for (int r = 0; r < vectors * lanes; ++r) {
    row[r] = rows + (r < height ? r : 0) * stride;
    next[r] = row[r] + 2 * height * stride;
  }
  Index f = 0;
  for (; f + lanes <= d; f += lanes, out += lanes * height) {
    Scalar packed[lanes * height + lanes];
    for (int c = vectors - 1; c >= 0; --c)
      transpose_features(row + c * lanes, next + c * lanes, f, packed + c * lanes, height);
    for (int i = 0; i < height; ++i) store(out + i * lanes, load(packed + i * lanes));
  }
  for (; f < d; ++f, out += height) {
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r) out[r] = row[r][f];
  }
}
