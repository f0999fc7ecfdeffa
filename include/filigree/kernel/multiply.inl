// SPDX-License-Identifier: MIT
// Matrix products in tiles of `height` rows by `width` columns. Each number of the result is one chain of multiply-adds
// over the inner dimension. The chain does not depend on how the inner dimension is split over calls.

// Computes the first `count` columns of a panel, which fit in `vectors` vectors. Reads and writes no other columns. The
// chains continue from `start`: the current result (with the strides of `out`), or one row for all rows (stride 0).
template <int vectors = 1, bool whole = true>
static void multiply_panel(StridedGroups<Scalar> a /*[groups][d][height]*/, Index groups,
                           StridedRows<const Scalar> b /*[d][width]*/, Index d,
                           StridedRows<const Scalar> start /*[groups * height][.]*/,
                           StridedRows<Scalar> out /*[groups * height][.]*/, Index count) {
  if constexpr (vectors < cols) {
    if (count > vectors * lanes) return multiply_panel<vectors + 1>(a, groups, b, d, start, out, count);
  }
  if constexpr (whole) {
    if (count % lanes != 0) return multiply_panel<vectors, false>(a, groups, b, d, start, out, count);
  }
  const Index last = (vectors - 1) * lanes, rest = count - last;
  for (Index g = 0; g < groups; ++g, a.data += a.stride) {
    Vec acc[height][vectors];
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, start.data += start.stride) {
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c)
        acc[r][c] = whole || c * lanes < last ? load(start.data + c * lanes) : load_first(start.data + last, rest);
    }
    add_products(a.data, b.data, d, acc, a.step, b.stride);
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r, out.data += out.stride) {
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c)
        if (whole || c * lanes < last)
          store(out.data + c * lanes, acc[r][c]);
        else
          store_first(out.data + last, acc[r][c], rest);
    }
  }
}
