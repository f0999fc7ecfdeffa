// SPDX-License-Identifier: MIT
// Products of matrices in tiles of `height` rows by `width` columns, a stretch of their inner dimension at a time: each
// number of the result is one chain of multiply-adds over the inner dimension, wherever it is cut.

// The columns of a panel's first `vectors` vectors. A chain begins at `start`: at what there is, with the strides of
// `out`, or at one row for all, with stride 0.
template <int vectors = 1>
inline void multiply_panel(const Real* a /*[groups][d][height]*/, Index groups, const Real* b /*[d][width]*/, Index d,
                           Strided<const Real> start /*[groups * height][.]*/,
                           Strided<Real> out /*[groups * height][.]*/, Index count) {
  if constexpr (vectors < cols) {
    if (count > vectors) return multiply_panel<vectors + 1>(a, groups, b, d, start, out, count);
  }
  for (Index g = 0; g < groups; ++g, a += d * height) {
    Vec acc[height][vectors];
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, start.data += start.stride) {
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) acc[r][c] = load(start.data + c * lanes);
    }
    add_products(a, b, d, acc);
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, out.data += out.stride) {
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) store(out.data + c * lanes, acc[r][c]);
    }
  }
}
