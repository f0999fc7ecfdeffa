// SPDX-License-Identifier: MIT
// Online softmax times V: the tile of scores becomes weights relative to the largest score so far, and these meet the
// rows of V while both are in the first-level cache.
//
// Every operation on a row is the same whatever rows stand beside it, so its bits do not depend on them.
// Reference: Milakov and Gimelshein, arXiv:1805.02867; Dao et al., arXiv:2205.14135, algorithm 1.

// Whether count rows of `dv` numbers are all finite: 0 * x is 0 for such x alone.
inline bool all_finite(const Real* v, Index stride, Index count, Index dv) {
  Vec zero[chains]{};  // x - x is 0 or NaN
  for (Index j = 0; j < count; ++j) sweep(v + j * stride, dv, [&](int c, const Vec& x) { zero[c] += x - x; });
  return above((zero[0] + zero[1]) + (zero[2] + zero[3]), broadcast(infinity)) == 0;
}

// Room for a number of each row of a group, in whole vectors.
inline constexpr int rows_room = (height + lanes - 1) / lanes * lanes;

// Turns the scores of a group into exp(score - maximum), raises the maxima to those of the tile, and adds to the sums.
// What the old sums and outputs have to be multiplied by goes to `factor`.
[[gnu::always_inline]] inline void soften(Real* tile /*[height][width]*/, Sums<Real> rows,
                                          Real* factor /*[rows_room]*/) {
  Real shift[height], fall[rows_room]{};
  FILIGREE_UNROLL
  for (int r = 0; r < height; ++r) {
    Vec high = broadcast(-infinity);  // NaN counts for nothing
    FILIGREE_UNROLL
    for (int c = 0; c < cols; ++c) {
      const Vec s = load(tile + r * width + c * lanes);
      high = s > high ? s : high;
    }
    const Real before = rows.maximum[r], peak = largest(high), after = peak > before ? peak : before;
    rows.maximum[r] = after;
    shift[r] = after > -infinity ? after : Real(0);
    fall[r] = before - shift[r];
  }
  for (int r = 0; r < height; r += lanes) store(factor + r, exponential(load(fall + r)));
  for (int r = 0; r < height; ++r) {
    Vec total = load(rows.sum + r * lanes) * broadcast(factor[r]);
    FILIGREE_UNROLL
    for (int c = 0; c < cols; ++c) {
      const Vec e = exponential(load(tile + r * width + c * lanes) - broadcast(shift[r]));
      store(tile + r * width + c * lanes, e);
      total += e;
    }
    store(rows.sum + r * lanes, total);
  }
}

// Adds weights times V to `vectors` vectors of the outputs of a group.
template <int vectors>
[[gnu::always_inline]] inline void add_values(const Real* weights /*[height][width]*/, const Real* factor, Index count,
                                              const Real* v, Index stride, Real* out /*[height][room]*/, Index room) {
  Vec acc[height][vectors];
  FILIGREE_UNROLL
  for (int r = 0; r < height; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[r][c] = load(out + r * room + c * lanes) * broadcast(factor[r]);
  }
  FILIGREE_UNROLL_TWICE
  for (Index j = 0; j < count; ++j, ++weights, v += stride) {
    Vec value[vectors];
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) value[c] = load(v + c * lanes);
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r) {
      const Vec w = broadcast(weights[r * width]);
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) acc[r][c] = multiply_add(w, value[c], acc[r][c]);
    }
  }
  FILIGREE_UNROLL
  for (int r = 0; r < height; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) store(out + r * room + c * lanes, acc[r][c]);
  }
}

// One group: from scores to outputs; only keys [begin, end) of the tile are seen. dv is a multiple of lanes.
[[gnu::always_inline]] inline void absorb(Real* tile, Index begin, Index end, const Real* v, Index stride, Index dv,
                                          Sums<Real> rows) {
  Real factor[rows_room];
  soften(tile, rows, factor);
  Index f = 0;
  const Real* weights = tile + begin;
  const Real* values = v + begin * stride;
  for (; f + width <= dv; f += width)
    add_values<cols>(weights, factor, end - begin, values + f, stride, rows.out + f, rows.stride);
  for (; f < dv; f += lanes) add_values<1>(weights, factor, end - begin, values + f, stride, rows.out + f, rows.stride);
}

// Groups of queries that see a whole panel.
inline void attend_panel(const Real* q /*[groups][d][height]*/, Index groups, const Real* k /*[d][width]*/, Index d,
                         Real scale, const Real* v /*[width][stride]*/, Index stride, Index dv, Sums<Real> rows) {
  alignas(64) Real tile[height * width];
  for (Index g = 0; g < groups; ++g, q += d * height, rows = rows.from(height, lanes)) {
    score_panel(q, 1, k, d, scale, tile, width);
    absorb(tile, 0, width, v, stride, dv, rows);
  }
}

// A group whose scores are in memory, -inf where absent; it sees none but the keys [begin, end). Where a row of V is
// not finite, only the queries that see it may meet it.
inline void attend_scores(Real* tile /*[height][width]*/, Index begin, Index end, const Real* v, Index stride, Index dv,
                          bool finite, Sums<Real> rows) {
  if (finite) return absorb(tile, begin, end, v, stride, dv, rows);
  bool seen[height * width];
  for (int i = 0; i < height * width; ++i) seen[i] = tile[i] != -infinity;
  Real factor[rows_room];
  soften(tile, rows, factor);
  for (int r = 0; r < height; ++r)
    for (Index f = 0; f < dv; f += lanes) {
      Real* out = rows.out + r * rows.stride + f;
      Vec acc = load(out) * broadcast(factor[r]);
      for (Index j = begin; j < end; ++j)
        if (seen[r * width + j]) acc = multiply_add(broadcast(tile[r * width + j]), load(v + j * stride + f), acc);
      store(out, acc);
    }
}

// Adds the parts of `count` rows, which come from later keys, to what there is: a chunk of keys after the other.
inline void merge_sums(Sums<Real> whole, Sums<Real> part, Index count, Index dv) {
  for (Index r = 0; r < count; ++r) {
    const Real a = whole.maximum[r], b = part.maximum[r], top = b > a ? b : a;
    const Real shift = top > -infinity ? top : Real(0);
    const Vec p = exponential(broadcast(a - shift)), q = exponential(broadcast(b - shift));
    whole.maximum[r] = top;
    store(whole.sum + r * lanes, load(whole.sum + r * lanes) * p + load(part.sum + r * lanes) * q);
    for (Index f = 0; f < dv; f += lanes)
      store(whole.out + r * whole.stride + f,
            load(whole.out + r * whole.stride + f) * p + load(part.out + r * part.stride + f) * q);
  }
}

// Divides the outputs of one row by its sum, to which exp(sink - maximum) is added; returns maximum and sum.
inline SoftmaxSums<Real> finish_row(Sums<Real> row, Index dv, Real sink) {
  const Real before = *row.maximum;
  Real total = sum(load(row.sum));
  if (before == -infinity && total == 0) {  // an empty row
    for (Index f = 0; f < dv; f += lanes) store(row.out + f, Vec{});
    return {-infinity, 0};
  }
  const Real top = sink > before ? sink : before, shift = top > -infinity ? top : Real(0);
  const Vec scale = exponential(broadcast(before - shift));
  total = total * scale[0];
  if (sink > -infinity) {
    const Vec e = exponential(broadcast(sink - shift));
    total += e[0];
  }
  const Vec share = scale / broadcast(total);
  for (Index f = 0; f < dv; f += lanes) store(row.out + f, load(row.out + f) * share + Vec{});  // + 0: never -0
  return {top, total};
}
