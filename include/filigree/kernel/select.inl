// SPDX-License-Identifier: MIT
// Streaming selection: scores above the row's bound are appended to its candidates, which are thinned out when they get
// many. Appending has no branch and costs the same whether a score is kept or not, so a bound may be stale.

// Appends what is above the rows' bounds of one group against one panel, straight from the registers.
inline void append_panel(const Real* q /*[groups][d][height]*/, Index groups, const Real* k /*[d][width]*/, Index d,
                         Real scale, Column first, Candidates<Real> rows) {
  Columns column[cols];
  FILIGREE_UNROLL
  for (int c = 0; c < cols; ++c) column[c] = iota() + (first + c * lanes);
  for (Index g = 0; g < groups; ++g, q += d * height) {
    Tile<height> tile;
    score_tile<height>(q, k, d, scale, tile);
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r) {
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

// The same from scores in memory: tiles that went through a mask or a map, where absent is -inf.
inline void append_scores(const Real* scores /*[count][stride]*/, Index stride, Index count, Column first, Index row0,
                          Candidates<Real> rows) {
  for (Index i = 0; i < count; ++i, scores += stride) {
    const Index row = row0 + i;
    const Vec bound = broadcast(rows.bound[row]);
    Index at = row * rows.stride + rows.count[row];
    for (int c = 0; c < cols; ++c) {
      const Vec s = load(scores + c * lanes);
      at += append(rows.values + at, rows.columns + at, s, iota() + (first + c * lanes), above(s, bound));
    }
    rows.count[row] = static_cast<Column>(at - row * rows.stride);
  }
}

// How many of values[0, padded) are above t; padded is a multiple of lanes.
[[gnu::always_inline]] inline Index count_above(const Real* values, Index padded, Real t) {
  const Vec bound = broadcast(t);
  Index count = 0;
  for (Index i = 0; i < padded; i += lanes) count += population(above(load(values + i), bound));
  return count;
}

// Floats in order of value as integers in the same order, and back (the map is its own inverse).
[[gnu::always_inline]] inline Bits flip(Bits b) { return b ^ ((b >> (8 * sizeof(Bits) - 1)) & ~sign_bit); }
[[gnu::always_inline]] inline Bits rank(Real x) { return flip(__builtin_bit_cast(Bits, x)); }
[[gnu::always_inline]] inline Real from_rank(Bits r) { return __builtin_bit_cast(Real, flip(r)); }

// Halfway between lo and hi: by value for the first steps, then by rank, which ends after as many steps as a Real has bits.
[[gnu::always_inline]] inline Real midpoint(Real lo, Real hi, int step) {
  const Real mid = lo + (hi - lo) / 2;
  if (step < 12 && lo < mid && mid < hi) return mid;
  const Bits a = rank(lo), b = rank(hi);
  return from_rank((a & b) + ((a ^ b) >> 1));  // the floor of the mean, without overflow
}

// Thins candidates (columns ascending, no -inf among them) to the k best: lowest columns first among equals, NaN above
// all; up to `slack` more may stay. Returns how many stay, in order; `bound` is raised to what later ones must exceed.
// Bisects for a value that k candidates exceed: about log2(spread / gap) counting passes, no sort, one pass of moves.
// The buffers are readable and writable for one vector beyond `count`.
inline Index thin(Real* values, Column* columns, Index count, Index k, Index slack, Real* bound) {
  if (count <= k) return count;
  const Index padded = (count + lanes - 1) / lanes * lanes;
  for (Index i = count; i < padded; ++i) values[i] = -infinity;
  Vec low = broadcast(infinity), high = broadcast(-infinity);
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(values + i);
    const Vec present = v > broadcast(-infinity) ? v : broadcast(infinity);
    low = present < low ? present : low;
    high = v > high ? v : high;
  }
  Real least = infinity, hi = -infinity;
  for (int l = 0; l < lanes; ++l) {
    least = low[l] < least ? low[l] : least;
    hi = high[l] > hi ? high[l] : hi;
  }
  // Invariant: fewer than k candidates exceed hi, at least k exceed lo.
  Real lo = from_rank(rank(least) - 1);
  Index above_hi = count_above(values, padded, infinity);  // NaN
  bool found = false;
  if (above_hi >= k) {
    lo = infinity;
    above_hi = 0;
  } else {
    for (int step = 0; hi > least && rank(lo) + 1 < rank(hi); ++step) {
      const Real mid = midpoint(lo, hi, step);
      const Index above_mid = count_above(values, padded, mid);
      if (above_mid >= k) {
        lo = mid;
        if ((found = above_mid <= k + slack)) break;
      } else {
        hi = mid;
        above_hi = above_mid;
      }
    }
  }
  // Keep what exceeds lo; unless lo was found to be right, only the first few of those that do not exceed hi, all equal.
  *bound = found || lo == infinity ? lo : hi;
  const Vec vlo = broadcast(lo), vhi = broadcast(hi);
  Index out = 0;
  int quota = static_cast<int>(k - above_hi);
  const bool ties = !found, nan_only = lo == infinity;
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(values + i);
    unsigned keep = above(v, vlo);
    if (ties) {
      const unsigned certain = nan_only ? 0U : above(v, vhi);
      unsigned equal = keep & ~certain;
      while (population(equal) > quota) equal &= ~(1U << (31 - __builtin_clz(equal)));
      quota -= population(equal);
      keep = certain | equal;
    }
    out += append(values + out, columns + out, v, load_columns(columns + i), keep);
  }
  return out;
}

// Thins every row that has more than `limit` candidates.
inline void thin_rows(Candidates<Real> rows, Index count, Index k, Index slack, Index limit) {
  for (Index r = 0; r < count; ++r)
    if (rows.count[r] > limit)
      rows.count[r] = static_cast<Column>(thin(rows.values + r * rows.stride, rows.columns + r * rows.stride,
                                               rows.count[r], k, slack, rows.bound + r));
}
