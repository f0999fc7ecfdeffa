// SPDX-License-Identifier: MIT
// Streaming selection: scores above a row's bound are appended to the row's candidates. A long list of candidates is
// reduced to its k largest. Appending has no branch and costs the same whether or not a score is kept, so a bound may
// be out of date.

template <int count = height, class Number>
[[gnu::always_inline]] static inline void append_panel_of(const Scalar* q, Index groups, const Number* k, Index d,
                                                          Scalar scale, Column first, Candidates<Scalar> rows) {
  ColumnVec column[cols];
  FILIGREE_UNROLL
  for (int c = 0; c < cols; ++c) column[c] = iota() + (first + c * lanes);
  for (Index g = 0; g < groups; ++g, q += d * height) {
    Tile<count> tile;
    score_tile<count>(q, k, d, scale, tile);
    FILIGREE_UNROLL
    for (int r = 0; r < count; ++r) {
      const Index row = g * height + r;
      const Vec bound = broadcast(rows.bound[row]);
      Index at = row * rows.stride + rows.count[row];
      FILIGREE_UNROLL
      for (int c = 0; c < cols; ++c)
        at += append(rows.values + at, rows.columns + at, tile.s[r][c], column[c], above(tile.s[r][c], bound));
      rows.count[row] = static_cast<Column>(at - row * rows.stride);
    }
  }
}

// Computes the scores of groups of queries against one panel and appends the scores above the rows' bounds. The scores
// are not written to memory first.
static void append_panel(const Scalar* q /*[groups][d][height]*/, Index groups, const Scalar* k /*[d][width]*/, Index d,
                         Scalar scale, Column first, Candidates<Scalar> rows) {
  append_panel_of(q, groups, k, d, scale, first, rows);
}
// The same for the first `present` queries of one group and keys that are stored in 16 bits.
static void append_panel_stored(const Scalar* q, Index present, StoredNumbers<Scalar> keys, Index d, Scalar scale,
                                Column first, Candidates<Scalar> rows) {
  with_stored(keys, [&](const auto* k) {
    with_present(present, [&](auto count) { append_panel_of<count>(q, 1, k, d, scale, first, rows); });
  });
}

// The same for scores in memory, after a mask or a map has been applied. Masked scores are -inf.
static void append_scores(const Scalar* scores /*[count][stride]*/, Index stride, Index count, Column first,
                          Candidates<Scalar> rows) {
  for (Index row = 0; row < count; ++row, scores += stride) {
    const Vec bound = broadcast(rows.bound[row]);
    Index at = row * rows.stride + rows.count[row];
    for (int c = 0; c < cols; ++c) {
      const Vec s = load(scores + c * lanes);
      at += append(rows.values + at, rows.columns + at, s, iota() + (first + c * lanes), above(s, bound));
    }
    rows.count[row] = static_cast<Column>(at - row * rows.stride);
  }
}

// Moves the values above the bound to the front, with their indices as columns; returns their number. The buffers are
// readable and writable in whole vectors, plus one more vector.
static Index list_above(Scalar* values, Column* columns, Index count, Scalar bound) {
  const Vec limit = broadcast(bound);
  Index out = 0;
  for (Index i = 0; i < count; i += lanes) {
    const Vec v = load(values + i);
    const unsigned valid = count - i < lanes ? (1U << (count - i)) - 1 : ~0U;
    out += append(values + out, columns + out, v, iota() + static_cast<Column>(i), above(v, limit) & valid);
  }
  return out;
}

// The same for a list that already has columns.
[[gnu::noinline]] static Index keep_above(Scalar* values, Column* columns, Index count, Scalar bound) {
  const Vec limit = broadcast(bound);
  Index out = 0;
  for (Index i = 0; i < count; i += lanes) {
    const Vec v = load(values + i);
    const unsigned valid = count - i < lanes ? (1U << (count - i)) - 1 : ~0U;
    out += append(values + out, columns + out, v, load_columns(columns + i), above(v, limit) & valid);
  }
  return out;
}

// Raises the bounds of rows to their maxima minus `reach`, and a little further. Candidates from seen[row] on are new:
// the maxima do not include them yet. NaN is ignored here.
static void follow_maximum(Candidates<Scalar> rows, Index count, Scalar reach, Scalar* maximum, Column* seen) {
  for (Index r = 0; r < count; ++r) {
    const Index end = rows.count[r];
    if (end == seen[r]) continue;
    Scalar* values = rows.values + r * rows.stride;
    store(values + end, broadcast(-infinity));
    Vec high = broadcast(maximum[r]);
    for (Index i = seen[r]; i < end; i += lanes) {
      const Vec v = load(values + i);
      high = v > high ? v : high;
    }
    seen[r] = static_cast<Column>(end);
    const Scalar top = largest(high), bound = top - reach - Scalar(0x1p-19) * (top < 0 ? -top : top);
    if (top == maximum[r]) continue;
    maximum[r] = top;
    rows.bound[r] = bound;
  }
}
