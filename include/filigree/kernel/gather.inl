// SPDX-License-Identifier: MIT
// out = sum over i of weights[i] * v.row(columns[i]): one chain of multiply-adds per output, in list order.

template <int vectors, class Number>
[[gnu::always_inline]] static inline void gather_strip(Scalar* out, const Scalar* weights, const Column* columns,
                                                       Index count, const Number* v, Index stride, bool add) {
  Vec acc[vectors];
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) acc[c] = add ? load(out + c * lanes) : Vec{};
  for (Index i = 0; i < count; ++i) {
    const Number* row = v + columns[i] * stride;
    const Vec w = broadcast(weights[i]);
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[c] = multiply_add(w, load(row + c * lanes), acc[c]);
  }
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) store(out + c * lanes, acc[c]);
}

template <class Number>
[[gnu::always_inline]] static inline void gather_of(Scalar* out, const Scalar* weights, const Column* columns,
                                                    Index count, const Number* v, Index stride, Index dv, bool add) {
  Index f = 0;
  if (count == 0) {  // v may be null
    for (; f < dv && !add; f += lanes) store(out + f, Vec{});
    return;
  }
  for (; f + 4 * lanes <= dv; f += 4 * lanes) gather_strip<4>(out + f, weights, columns, count, v + f, stride, add);
  for (; f < dv; f += lanes) gather_strip<1>(out + f, weights, columns, count, v + f, stride, add);
}

// dv is a multiple of lanes. If `add`, continues the chains of sums that are in `out`.
static void gather(Scalar* out /*[dv]*/, const Scalar* weights /*[count]*/, const Column* columns /*[count]*/,
                   Index count, const Scalar* v /*[m][stride]*/, Index stride, Index dv, bool add) {
  gather_of(out, weights, columns, count, v, stride, dv, add);
}
// The same for numbers that are stored in 16 bits. They are widened in registers.
static void gather_stored(Scalar* out, const Scalar* weights, const Column* columns, Index count,
                          StoredNumbers<Scalar> numbers, Index stride, Index dv, bool add) {
  with_stored(numbers, [&](const auto* v) { gather_of(out, weights, columns, count, v, stride, dv, add); });
}
