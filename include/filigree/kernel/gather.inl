// SPDX-License-Identifier: MIT
// out = sum over i of weights[i] * v.row(columns[i]): one chain of multiply-adds per output, in list order.

template <int vectors>
[[gnu::always_inline]] static inline void gather_strip(Scalar* out, const Scalar* weights, const Column* columns,
                                                       Index count, const Scalar* v, Index stride) {
  Vec acc[vectors];
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) acc[c] = Vec{};
  for (Index i = 0; i < count; ++i) {
    const Scalar* row = v + columns[i] * stride;
    const Vec w = broadcast(weights[i]);
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[c] = multiply_add(w, load(row + c * lanes), acc[c]);
  }
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) store(out + c * lanes, acc[c]);
}

// The same for several lists and a chunk of the rows of v at a time: continues the sums with the entries from next[r]
// on whose column is below `end`. The chains are those of gather().
template <int vectors>
[[gnu::always_inline]] static inline Index gather_strip_until(Scalar* out, const Scalar* weights, const Column* columns,
                                                              Index i, Index count, Index end, const Scalar* v,
                                                              Index stride) {
  Vec acc[vectors];
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) acc[c] = load(out + c * lanes);
  for (; i < count && columns[i] < end; ++i) {
    const Scalar* row = v + columns[i] * stride;
    const Vec w = broadcast(weights[i]);
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[c] = multiply_add(w, load(row + c * lanes), acc[c]);
  }
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) store(out + c * lanes, acc[c]);
  return i;
}

static void gather_rows(StridedRows<Scalar> out /*[count][dv]*/, Candidates<Scalar> lists, Index count, Index m,
                        Index chunk, Column* next /*[count]*/, const Scalar* v /*[m][stride]*/, Index stride,
                        Index dv) {
  for (Index r = 0; r < count; ++r) {
    next[r] = 0;
    for (Index f = 0; f < dv; f += lanes) store(out.data + r * out.stride + f, Vec{});
  }
  for (Index begin = 0; begin < m; begin += chunk) {
    for (Index r = 0; r < count; ++r) {
      const Candidates<Scalar> list = lists.from(r);
      Scalar* to = out.data + r * out.stride;
      Index f = 0, end = next[r];
      for (; f + 4 * lanes <= dv; f += 4 * lanes)
        end = gather_strip_until<4>(to + f, list.values, list.columns, next[r], *list.count, begin + chunk, v + f,
                                    stride);
      for (; f < dv; f += lanes)
        end = gather_strip_until<1>(to + f, list.values, list.columns, next[r], *list.count, begin + chunk, v + f,
                                    stride);
      next[r] = static_cast<Column>(end);
    }
  }
}

// dv is a multiple of lanes.
static void gather(Scalar* out /*[dv]*/, const Scalar* weights /*[count]*/, const Column* columns /*[count]*/,
                   Index count, const Scalar* v /*[m][stride]*/, Index stride, Index dv) {
  Index f = 0;
  if (count == 0) {  // v may be null
    for (; f < dv; f += lanes) store(out + f, Vec{});
    return;
  }
  for (; f + 4 * lanes <= dv; f += 4 * lanes) gather_strip<4>(out + f, weights, columns, count, v + f, stride);
  for (; f < dv; f += lanes) gather_strip<1>(out + f, weights, columns, count, v + f, stride);
}
