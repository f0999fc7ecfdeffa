// SPDX-License-Identifier: MIT
// Softmax times V over a chunk of keys. Scores become weights relative to the maximum of the chunk, and the weights are
// multiplied by the rows of V. Chunks are merged afterwards.
//
// The operations on a row do not depend on the other rows of its group, so its result is the same to the bit.
// Reference: Milakov and Gimelshein, arXiv:1805.02867; Dao et al., arXiv:2205.14135, algorithm 1.

// Returns true if all numbers in `count` rows of `dv` numbers are finite.
static bool all_finite(const Scalar* v, Index stride, Index count, Index dv) {
  Vec zero[chains]{};  // x - x is 0 or NaN
  for (Index j = 0; j < count; ++j) sweep(v + j * stride, dv, [&](int c, const Vec& x) { zero[c] += x - x; });
  return above((zero[0] + zero[1]) + (zero[2] + zero[3]), broadcast(infinity)) == 0;
}

// Calls f(c) with the first column c of each vector that overlaps a segment. No two segments overlap the same vector.
template <class F>
[[gnu::always_inline]] static inline void each_vector(const Segment* segments, Index count, const F& f) {
  for (Index s = 0; s < count; ++s)
    for (Index c = segments[s].begin / lanes * lanes; c < segments[s].end; c += lanes) f(c);
}

// Replaces scores by exp(score - maximum) and stores the maximum and the sum of each row.
template <int rows>
[[gnu::always_inline]] static inline void exponentiate(Scalar* tile /*[rows][stride]*/, Index stride,
                                                       const Segment* segments, Index count, SoftmaxState<Scalar> to) {
  Vec high[rows];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) high[r] = broadcast(-infinity);
  each_vector(segments, count, [&](Index c) {
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const Vec s = load(tile + r * stride + c);
      high[r] = s > high[r] ? s : high[r];  // NaN is ignored here
    }
  });
  Vec shift[rows], total[rows];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    to.maximum[r] = largest(high[r]);
    shift[r] = broadcast(to.maximum[r] > -infinity ? to.maximum[r] : Scalar(0));
    total[r] = Vec{};
  }
  each_vector(segments, count, [&](Index c) {
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const Vec e = exponential(load(tile + r * stride + c) - shift[r]);
      store(tile + r * stride + c, e);
      total[r] += e;
    }
  });
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) store(to.sum + r * lanes, total[r]);
}

// Multiplies weights by `vectors` vectors of each row of V and sums over ascending keys. If `add`, continues the sums
// in `out`.
template <int rows, int vectors, bool add = false, class Number>
[[gnu::always_inline]] static inline void accumulate_values(const Scalar* weights /*[rows][stride]*/, Index stride,
                                                            const Segment* segments, Index count, const Number* v,
                                                            Index v_stride, Scalar* out /*[rows][out_stride]*/,
                                                            Index out_stride) {
  Vec acc[rows][vectors];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[r][c] = add ? load(out + r * out_stride + c * lanes) : Vec{};
  }
  for (Index s = 0; s < count; ++s) {
    const Scalar* w = weights + segments[s].begin;
    const Number* row = v + segments[s].begin * v_stride;
    FILIGREE_UNROLL_TWICE
    for (Index j = segments[s].begin; j < segments[s].end; ++j, ++w, row += v_stride) {
      Vec value[vectors];
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) value[c] = load(row + c * lanes);
      FILIGREE_UNROLL
      for (int r = 0; r < rows; ++r) {
        const Vec weight = broadcast(w[r * stride]);
        FILIGREE_UNROLL
        for (int c = 0; c < vectors; ++c) acc[r][c] = multiply_add(weight, value[c], acc[r][c]);
      }
    }
  }
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) store(out + r * out_stride + c * lanes, acc[r][c]);
  }
}

// Calls use(r, c, kept) for `rows` rows, at most `height`, and each vector of a row that overlaps a segment, with its
// first column c. The lanes of `kept` are all ones for columns that are kept.
template <class Use>
[[gnu::always_inline]] static inline void draw_segments(const RandomRow* random, Index rows, const Segment* segments,
                                                        Index count, const Use& use) {
  FirstRounds rounds[height];
  for (Index r = 0; r < rows; ++r) rounds[r] = FirstRounds(random[r]);
  for (Index s = 0; s < count; ++s) {
    const Index first = segments[s].begin / lanes * lanes, last = ceil_div(segments[s].end, lanes) * lanes;
    if (high_word(random->first + static_cast<std::uint64_t>(last)) == random->high) {
      draw_columns<2>(random, rounds, rows, first, last, use);
      continue;
    }
    for (Index r = 0; r < rows; ++r)  // positions in this segment differ in their upper halves
      for (Index c = first; c < last; c += lanes) {
        Mask kept{};
        for (int l = 0; l < lanes; ++l)
          kept[l] = philox_bits(random[r], static_cast<Column>(c + l)) >= random[r].limit ? -1 : 0;
        use(r, c, kept);
      }
  }
}

// Sets the weights of dropped columns to 0. Not inlined: a function without it needs fewer registers.
[[gnu::noinline]] static void drop_weights(Scalar* weights /*[rows][stride]*/, Index stride, Index rows,
                                           const Segment* segments, Index count, const RandomRow* random) {
  draw_segments(random, rows, segments, count, [&](Index r, Index c, const Mask& kept) {
    Scalar* const at = weights + r * stride + c;
    store(at, kept != 0 ? load(at) : Vec{});
  });
}

// Attends with `rows` queries to the segments of a chunk. Masked scores are -inf. dv is a multiple of lanes. If there
// are random numbers, dropped weights are not multiplied by V, but remain in the sums.
template <int rows, class Number>
static void attend_rows(Scalar* tile /*[rows][stride]*/, Index stride, const Segment* segments, Index count,
                        const Number* v /*[.][v_stride]*/, Index v_stride, Index dv, const RandomRow* random,
                        SoftmaxState<Scalar> to) {
  exponentiate<rows>(tile, stride, segments, count, to);
  if (random != nullptr) drop_weights(tile, stride, rows, segments, count, random);
  Index f = 0;
  if constexpr (rows == 1 && sizeof(Number) < sizeof(Scalar))  // whole cache lines of short rows
    for (; f + 2 * width <= dv; f += 2 * width)
      accumulate_values<rows, 2 * cols>(tile, stride, segments, count, v + f, v_stride, to.out + f, to.stride);
  for (; f + width <= dv; f += width)
    accumulate_values<rows, cols>(tile, stride, segments, count, v + f, v_stride, to.out + f, to.stride);
  for (; f < dv; f += lanes)
    accumulate_values<rows, 1>(tile, stride, segments, count, v + f, v_stride, to.out + f, to.stride);
}

// Attends with a group of `height` rows, of which only the first `present` are valid.
static void attend_chunk(Scalar* tile, Index stride, const Segment* segments, Index count, const Scalar* v,
                         Index v_stride, Index dv, Index present, const RandomRow* random /*[height]*/,
                         SoftmaxState<Scalar> to) {
  const RoundToNearest rounding;
  if (present == 1)
    attend_rows<1>(tile, stride, segments, count, v, v_stride, dv, random, to);
  else
    attend_rows<height>(tile, stride, segments, count, v, v_stride, dv, random, to);
}
// The same for values that are stored in 16 bits. They are widened in registers.
static void attend_chunk_stored(Scalar* tile, Index stride, const Segment* segments, Index count,
                                StoredNumbers<Scalar> values, Index v_stride, Index dv, Index present,
                                const RandomRow* random, SoftmaxState<Scalar> to) {
  const RoundToNearest rounding;
  with_stored(values, [&](const auto* v) {
    with_present(present,
                 [&](auto rows) { attend_rows<rows>(tile, stride, segments, count, v, v_stride, dv, random, to); });
  });
}

// The same for non-finite rows of V. A masked weight is 0, and 0 * Inf is NaN, so masked rows are skipped instead of
// multiplied.
template <class Number>
static void attend_nonfinite_of(Scalar* tile, Index stride, const Segment* segments, Index count, const Number* v,
                                Index v_stride, Index dv, Index present, const RandomRow* random,
                                SoftmaxState<Scalar> to) {
  const RoundToNearest rounding;
  for (Index r = 0; r < present; ++r, tile += stride, to = to.from(1, lanes)) {
    for (Index f = 0; f < dv; ++f) to.out[f] = 0;
    Scalar top = -infinity;
    each_vector(segments, count, [&](Index c) {
      for (Index j = c; j < c + lanes; ++j) top = tile[j] > top ? tile[j] : top;
    });
    const Vec shift = broadcast(top > -infinity ? top : Scalar(0));
    Vec total{};
    const auto add = [&](Index, Index c, const Mask& kept) {
      const Vec score = load(tile + c), e = exponential(score - shift);
      total += e;
      for (int l = 0; l < lanes; ++l) {
        if (score[l] == -infinity || kept[l] == 0) continue;
        const Number* row = v + (c + l) * v_stride;
        for (Index f = 0; f < dv; f += lanes)
          store(to.out + f, multiply_add(broadcast(e[l]), load(row + f), load(to.out + f)));
      }
    };
    if (random != nullptr)
      draw_segments(random + r, 1, segments, count, add);
    else
      each_vector(segments, count, [&](Index c) { add(r, c, ~Mask{}); });
    *to.maximum = top;
    store(to.sum, total);
  }
}

static void attend_nonfinite(Scalar* tile, Index stride, const Segment* segments, Index count, const Scalar* v,
                             Index v_stride, Index dv, Index present, const RandomRow* random,
                             SoftmaxState<Scalar> to) {
  attend_nonfinite_of(tile, stride, segments, count, v, v_stride, dv, present, random, to);
}
static void attend_nonfinite_stored(Scalar* tile, Index stride, const Segment* segments, Index count,
                                    StoredNumbers<Scalar> values, Index v_stride, Index dv, Index present,
                                    const RandomRow* random, SoftmaxState<Scalar> to) {
  with_stored(values, [&](const auto* v) {
    attend_nonfinite_of(tile, stride, segments, count, v, v_stride, dv, present, random, to);
  });
}

// Merges the state of the next chunk of keys, `part`, into `whole`, the state of all preceding chunks.
static void merge(SoftmaxState<Scalar> whole, SoftmaxState<Scalar> part, Index count, Index dv) {
  const RoundToNearest rounding;
  for (Index r = 0; r < count; ++r) {
    const Scalar a = whole.maximum[r], b = part.maximum[r], top = b > a ? b : a;
    const Scalar shift = top > -infinity ? top : Scalar(0);
    const Vec p = exponential(broadcast(a - shift)), q = exponential(broadcast(b - shift));
    whole.maximum[r] = top;
    store(whole.sum + r * lanes, load(whole.sum + r * lanes) * p + load(part.sum + r * lanes) * q);
    for (Index f = 0; f < dv; f += lanes)
      store(whole.out + r * whole.stride + f,
            load(whole.out + r * whole.stride + f) * p + load(part.out + r * part.stride + f) * q);
  }
}

// Adds exp(sink - maximum) to the sum of one row, divides the row's outputs by the sum, multiplies them by `gain`, and
// returns maximum and sum. The result for an empty row has only the sink's term.
static LogSumExp<Scalar> finish_row(SoftmaxState<Scalar> row, Index dv, Scalar sink, Scalar gain) {
  const RoundToNearest rounding;
  const Scalar maximum = *row.maximum;
  Scalar total = sum(load(row.sum));
  if (maximum == -infinity && total == 0) {  // an empty row
    for (Index f = 0; f < dv; f += lanes) store(row.out + f, Vec{});
    return {sink, sink > -infinity ? Scalar(1) : Scalar(0)};
  }
  Scalar top = maximum;
  Vec scale = broadcast(1);
  if (sink > -infinity) {
    top = sink > maximum ? sink : maximum;
    scale = exponential(broadcast(maximum - top));
    total = total * scale[0];
    total += exponential(broadcast(sink - top))[0];
  }
  const Vec factor = scale / broadcast(total) * broadcast(gain);
  for (Index f = 0; f < dv; f += lanes) store(row.out + f, load(row.out + f) * factor + Vec{});  // + 0: never -0
  return {top, total};
}
