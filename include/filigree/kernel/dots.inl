// SPDX-License-Identifier: MIT
// out[i] = <x, v.row(columns[i])>. Four rows are computed at a time, with two chains of multiply-adds each to hide
// their latency. A row has its own chains, so its result does not depend on the other rows.

template <int rows>
[[gnu::always_inline]] static inline void dot_rows(Scalar* out, const Scalar* x, const Column* columns, const Scalar* v,
                                                   Index stride, Index d) {
  const Scalar* row[rows];
  Vec even[rows], odd[rows];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    row[r] = v + columns[r] * stride;
    even[r] = odd[r] = Vec{};
  }
  Index f = 0;
  for (; f + 2 * lanes <= d; f += 2 * lanes) {
    const Vec a = load(x + f), b = load(x + f + lanes);
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) {
      even[r] = multiply_add(a, load(row[r] + f), even[r]);
      odd[r] = multiply_add(b, load(row[r] + f + lanes), odd[r]);
    }
  }
  Scalar rest[rows] = {};
  for (; f < d; ++f) {
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) rest[r] += x[f] * row[r][f];
  }
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) out[r] = sum(even[r] + odd[r]) + rest[r];
}

static void dots(Scalar* out /*[count]*/, const Scalar* x /*[d]*/, const Column* columns /*[count]*/, Index count,
                 const Scalar* v /*[m][stride]*/, Index stride, Index d) {
  Index i = 0;
  for (; i + 4 <= count; i += 4) dot_rows<4>(out + i, x, columns + i, v, stride, d);
  for (; i < count; ++i) dot_rows<1>(out + i, x, columns + i, v, stride, d);
}
