// SPDX-License-Identifier: MIT
// Softmax times V of queries that attend to few keys. A lane is a query, and the features of keys are broadcast, so
// that few of the scores are masked and the rows of K are read in place. The result has the bits of attend_chunk and
// finish_row: each score is the same chain, and sums are added in the same order.

// Prefetches rows of K, V and the target that the next queries use, one cache line of each for each feature: lines that
// are requested together would make the core wait.
struct NarrowPrefetch {
  StridedRows<const Scalar> k, v, out;

  [[gnu::always_inline]] inline void operator()(Index f) const {
    const Index r = f % lanes, c = f - r;
    __builtin_prefetch(k.data + r * k.stride + c);
    __builtin_prefetch(v.data + r * v.stride + c);
    __builtin_prefetch(out.data + r * out.stride + c, 1);
  }
};
struct NoPrefetch {
  [[gnu::always_inline]] inline void operator()(Index) const {}
};

// Computes the scores of `keys` consecutive keys, for a query in each lane.
template <int keys, class Prefetch>
[[gnu::always_inline]] static inline void score_keys(const Scalar* q /*[d][lanes]*/, StridedRows<const Scalar> k,
                                                     Index d, const Vec& scale, Scalar* out /*[keys][lanes]*/,
                                                     const Prefetch& prefetch) {
  constexpr int step = keys % 3 == 0 ? 3 : 1;  // an address is a pointer and up to 2 strides: 8 pointers to 24 rows
  const Scalar* row[keys / step];
  Vec acc[keys];
  FILIGREE_UNROLL
  for (int i = 0; i < keys / step; ++i) row[i] = k.data + i * step * k.stride;
  FILIGREE_UNROLL_24
  for (int i = 0; i < keys; ++i) acc[i] = Vec{};
  for (Index f = 0; f < d; ++f, q += lanes) {
    const Vec query = load(q);
    FILIGREE_UNROLL_24
    for (int i = 0; i < keys; ++i) acc[i] = multiply_add(broadcast(row[i / step][i % step * k.stride]), query, acc[i]);
    FILIGREE_UNROLL
    for (int i = 0; i < keys / step; ++i) ++row[i];
    prefetch(f);
  }
  FILIGREE_UNROLL_24
  for (int i = 0; i < keys; ++i) store(out + i * lanes, acc[i] * scale);
}

// Computes the scores of `count` keys. The last keys are computed together with some before them again.
static constexpr int narrow_keys = height * cols >= 24 ? 24 : 12;
static void score_narrow(const Scalar* q /*[d][lanes]*/, StridedRows<const Scalar> k, Index count, Index d,
                         Scalar scale, Scalar* out /*[count][lanes]*/, const NarrowPrefetch& prefetch) {
  const Vec factor = broadcast(scale);
  constexpr int whole = narrow_keys, half = narrow_keys / 2, few = 3;
  const auto rows = [&](Index i) { return StridedRows<const Scalar>{k.data + i * k.stride, k.stride}; };
  for (Index i = 0; i < count;) {
    const Index left = count - i;
    if (i == 0 && count >= whole) {
      score_keys<whole>(q, k, d, factor, out, prefetch);
      i = whole;
    } else if (left > half && count >= whole) {
      i = i + whole <= count ? i : count - whole;
      score_keys<whole>(q, rows(i), d, factor, out + i * lanes, NoPrefetch{});
      i += whole;
    } else if (left > few && count >= half) {
      i = i + half <= count ? i : count - half;
      score_keys<half>(q, rows(i), d, factor, out + i * lanes, NoPrefetch{});
      i += half;
    } else if (count >= few) {
      i = i + few <= count ? i : count - few;
      score_keys<few>(q, rows(i), d, factor, out + i * lanes, NoPrefetch{});
      i += few;
    } else {
      score_keys<1>(q, rows(i), d, factor, out + i * lanes, NoPrefetch{});
      ++i;
    }
  }
}

// Replaces scores by exp(score - maximum), which is 0 outside of the ranges, and returns the maximum. As for scores in
// rows, there is a sum for each remainder of a column by `lanes`.
[[gnu::always_inline]] static inline Vec exponentiate_narrow(const NarrowAttention<Scalar>& a,
                                                             Scalar* tile /*[last - first][lanes]*/,
                                                             Vec* total /*[lanes]*/) {
  const Mask begin = __builtin_convertvector(load_columns(a.begin), Mask);
  const Mask end = __builtin_convertvector(load_columns(a.end), Mask);
  Vec high[chains];
  FILIGREE_UNROLL
  for (int c = 0; c < chains; ++c) high[c] = broadcast(-infinity);
  const auto keep = [&](Index i, int chain) {
    const Mask column = Mask{} + static_cast<Bits>(a.first + i);
    const Vec s = ((column >= begin) & (column < end)) != 0 ? load(tile + i * lanes) : broadcast(-infinity);
    store(tile + i * lanes, s);
    high[chain] = s > high[chain] ? s : high[chain];  // NaN is ignored here
  };
  const Index count = a.last - a.first;
  Index i = 0;
  for (; i + chains <= count; i += chains) {
    FILIGREE_UNROLL
    for (int c = 0; c < chains; ++c) keep(i + c, c);
  }
  for (; i < count; ++i) keep(i, 0);
  FILIGREE_UNROLL
  for (int c = 1; c < chains; ++c) high[0] = high[c] > high[0] ? high[c] : high[0];
  const Vec shift = high[0] > broadcast(-infinity) ? high[0] : Vec{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) total[l] = Vec{};
  const Index first = a.first;
  for (i = 0; i < count; ++i) {
    const Vec e = exponential(load(tile + i * lanes) - shift);
    store(tile + i * lanes, e);
    total[(first + i) % lanes] += e;
  }
  return high[0];
}

// Multiplies the weights of `rows` queries by `vectors` vectors of V, sums over ascending keys, and multiplies by
// factors. Adds 0 to `check` for finite sums, else NaN.
template <int rows, int vectors>
[[gnu::always_inline]] static inline void accumulate_narrow(const Scalar* weights /*[count][lanes]*/, const Scalar* v,
                                                            Index v_stride, Index count, const Scalar* factor,
                                                            Index present, Scalar* out, Index out_stride, Vec& check) {
  Vec acc[rows][vectors];
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) acc[r][c] = Vec{};
  }
  FILIGREE_UNROLL_TWICE
  for (Index j = 0; j < count; ++j, weights += lanes, v += v_stride) {
    Vec value[vectors];
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) value[c] = load(v + c * lanes);
    FILIGREE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const Vec weight = broadcast(weights[r]);
      FILIGREE_UNROLL
      for (int c = 0; c < vectors; ++c) acc[r][c] = multiply_add(weight, value[c], acc[r][c]);
    }
  }
  FILIGREE_UNROLL
  for (int r = 0; r < rows; ++r) {
    if (r >= present) break;
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) {
      check += acc[r][c] - acc[r][c];
      store(out + r * out_stride + c * lanes, acc[r][c] * broadcast(factor[r]) + Vec{});  // + 0: never -0
    }
  }
}

// Returns false if the result is not valid because a sum of products is not finite: a masked weight is 0, and 0 * Inf
// is NaN.
static bool attend_narrow(const NarrowAttention<Scalar>& a) {
  const Index count = a.last - a.first;
  Scalar *q = a.memory, *tile = q + a.d * lanes;
  pack_lanes([&](Index r) { return a.q.data + r * a.q.stride; },
             [&](Index r) { return a.q.data + (lanes + r) * a.q.stride; }, a.count, a.d, q, lanes);
  score_narrow(q, {a.k.data + a.first * a.k.stride, a.k.stride}, count, a.d, a.scale, tile,
               {{a.k.data + a.last * a.k.stride, a.k.stride},
                {a.v.data + a.last * a.v.stride, a.v.stride},
                {a.out.data + lanes * a.out.stride, a.out.stride}});
  const RoundToNearest rounding;
  Vec totals[lanes];
  const Vec maximum = exponentiate_narrow(a, tile, totals);
  if (a.lane_sums != nullptr)
    for (int r = 0; r < lanes; ++r)
      for (int l = 0; l < lanes; ++l) a.lane_sums[r * lanes + l] = totals[l][r];
  for (int distance = 1; distance < lanes; distance *= 2)  // in the order of sum()
    for (int l = 0; l < lanes; l += 2 * distance) totals[l] = totals[l] + totals[l + distance];
  const Vec total = totals[0];
  const Mask empty = (maximum == broadcast(-infinity)) & (total == Vec{});
  Vec top = maximum, scale = broadcast(1), sum = total;
  if (a.sink > -infinity) {
    const Vec sink = broadcast(a.sink);
    top = sink > maximum ? sink : maximum;
    scale = exponential(maximum - top);
    sum = total * scale;
    sum += exponential(sink - top);
  }
  Scalar factor[lanes];
  store(factor, a.lane_sums != nullptr ? broadcast(1) : empty != 0 ? Vec{} : scale / sum);
  store(a.maximum, a.lane_sums != nullptr ? maximum : empty != 0 ? broadcast(a.sink) : top);
  if (a.lane_sums == nullptr) store(a.sum, empty != 0 ? broadcast(a.sink > -infinity ? Scalar(1) : Scalar(0)) : sum);

  constexpr int rows = lanes < 4 ? lanes : 4;
  Vec check{};
  for (int r = 0; r < a.count; r += rows) {
    Column begin = a.last, end = a.first;
    for (int i = r; i < r + rows; ++i) {
      if (a.begin[i] >= a.end[i]) continue;
      begin = a.begin[i] < begin ? a.begin[i] : begin;
      end = a.end[i] > end ? a.end[i] : end;
    }
    const Index keys = end > begin ? end - begin : 0, present = a.count - r;
    const Scalar* weights = tile + (keys > 0 ? begin - a.first : 0) * lanes + r;
    const Scalar* v = a.v.data + (keys > 0 ? begin : 0) * a.v.stride;
    Scalar* out = a.out.data + r * a.out.stride;
    Index f = 0;
    for (; f + width <= a.dv; f += width)
      accumulate_narrow<rows, cols>(weights, v + f, a.v.stride, keys, factor + r, present, out + f, a.out.stride,
                                    check);
    for (; f < a.dv; f += lanes)
      accumulate_narrow<rows, 1>(weights, v + f, a.v.stride, keys, factor + r, present, out + f, a.out.stride, check);
  }
  return above(check, broadcast(infinity)) == 0;
}
