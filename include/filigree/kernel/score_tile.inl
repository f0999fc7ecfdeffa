// SPDX-License-Identifier: MIT
// Scores of `height` queries against `width` = cols * lanes keys, kept in registers until they are final.
//
// Each score is one chain of multiply-adds over ascending features, then times the scale: the number that semantics
// call the computed score. A register holds `lanes` keys of one query, so every lane runs the same chain whatever the
// tile is. Machine: 2 FMA ports x 4 cycles of latency want at least 8 chains; 6 x 4 = 24 accumulators + 4 keys + 1
// broadcast fill the 32 registers of AVX-512, and one step does 24 FMAs for 10 loads.

template <int rows>
struct Tile {
  Vec s[rows][cols];
};

template <int rows>
[[gnu::always_inline]] inline void score_tile(const Real* q /*[d][height]*/, const Real* k /*[d][width]*/, Index d,
                                              Real scale, Tile<rows>& tile) {
  Vec acc[rows][cols];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < cols; ++c) acc[r][c] = Vec{};
  }
  FILIGREE_UNROLL_TWICE
  for (Index f = 0; f < d; ++f, q += height, k += width) {
    Vec key[cols];
    FILIGREE_UNROLL
    for (int c = 0; c < cols; ++c) key[c] = load(k + c * lanes);
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const Vec query = broadcast(q[r]);
      FILIGREE_UNROLL
      for (int c = 0; c < cols; ++c) acc[r][c] = multiply_add(query, key[c], acc[r][c]);
    }
  }
  const Vec factor = broadcast(scale);
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < cols; ++c) tile.s[r][c] = acc[r][c] * factor;
  }
}

// Scores of `groups` groups of queries against one panel of keys, written to memory.
inline void score_panel(const Real* q /*[groups][d][height]*/, Index groups, const Real* k /*[d][width]*/, Index d,
                        Real scale, Real* out /*[groups * height][stride]*/, Index stride) {
  for (Index g = 0; g < groups; ++g, q += d * height) {
    Tile<height> tile;
    score_tile<height>(q, k, d, scale, tile);
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, out += stride) {  // walking the pointer leaves g++ no strides to hold in registers
      FILIGREE_UNROLL
      for (int c = 0; c < cols; ++c) store(out + c * lanes, tile.s[r][c]);
    }
  }
}
