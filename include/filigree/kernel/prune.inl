// SPDX-License-Identifier: MIT
// n:m sparsity without branches: each value is compared with the other values of its group.

// Returns numbers in the order of the magnitudes: NaN above all others, absent values (-inf) below. The comparison with
// 0 makes denormal numbers equal to 0 if the processor treats them as such. (A compiler may omit the addition of 0.)
[[gnu::always_inline]] static inline Mask magnitude_rank(const Vec& v) {
  constexpr Bits nan = single ? Bits(0x7F800001) : static_cast<Bits>(0x7FF0000000000001);
  const Mask size = v == Vec{} ? Mask{} : (Mask)v & ~(Mask{} + sign_bit);
  const Mask rank = size < (Mask{} + nan) ? size : Mask{} + nan;
  return v == broadcast(-infinity) ? Mask{} - 1 : rank;
}
// Returns v with lane l at l ^ distance.
template <int distance, int... At>
[[gnu::always_inline]] static inline Mask exchanged_ranks(const Mask& v, std::integer_sequence<int, At...>) {
  return __builtin_shufflevector(v, v, (At ^ distance)...);
}
// Returns a vector whose lane l is 1 if lane l ^ distance precedes it.
template <int distance, int... At>
[[gnu::always_inline]] static inline Mask follows(std::integer_sequence<int, At...>) {
  return Mask{(At ^ distance) < At...};
}
// Subtracts 1 from each lane of `before` whose value ranks below the lane of `other` at a distance in from..to-1.
// Vector `other` follows if `order` is 1, precedes if it is -1, and is the same vector if it is 0.
template <int from, int to, int order>
[[gnu::always_inline]] static inline void count_higher(const Mask& rank, const Mask& other, Mask& before) {
  if constexpr (from < to) {
    constexpr std::make_integer_sequence<int, lanes> all{};
    const Mask ties = order == 0 ? follows<from>(all) : Mask{} + (order < 0 ? 1 : 0);
    before += exchanged_ranks<from>(other, all) > rank - ties;
    count_higher<from + 1, to, order>(rank, other, before);
  }
}

// Prunes whole groups of m = 2, 4 or 8 values.
template <int m>
[[gnu::always_inline]] static inline void prune_groups(Scalar* values, Index count, Index n) {
  constexpr int parts = m > lanes ? m / lanes : 1, inside = m > lanes ? lanes : m, step = parts * lanes;
  const auto prune = [&](Vec(&v)[parts]) {
    Mask rank[parts];
    FILIGREE_UNROLL
    for (int a = 0; a < parts; ++a) rank[a] = magnitude_rank(v[a]);
    FILIGREE_UNROLL
    for (int a = 0; a < parts; ++a) {
      Mask before{};  // minus the number of values that rank above
      count_higher<1, inside, 0>(rank[a], rank[a], before);
      FILIGREE_UNROLL
      for (int b = 0; b < parts; ++b) {
        if (b < a) count_higher<0, inside, -1>(rank[a], rank[b], before);
        if (b > a) count_higher<0, inside, 1>(rank[a], rank[b], before);
      }
      v[a] = before + static_cast<Bits>(n) > 0 ? v[a] : broadcast(-infinity);
    }
  };
  Index i = 0;
  Vec v[parts];
  for (; i + step <= count; i += step) {
    FILIGREE_UNROLL
    for (int a = 0; a < parts; ++a) v[a] = load(values + i + a * lanes);
    prune(v);
    FILIGREE_UNROLL
    for (int a = 0; a < parts; ++a) store(values + i + a * lanes, v[a]);
  }
  if (i == count) return;
  Scalar last[step];
  for (int l = 0; l < step; ++l) last[l] = i + l < count ? values[i + l] : -infinity;
  FILIGREE_UNROLL
  for (int a = 0; a < parts; ++a) v[a] = load(last + a * lanes);
  prune(v);
  FILIGREE_UNROLL
  for (int a = 0; a < parts; ++a) store(last + a * lanes, v[a]);
  for (int l = 0; i + l < count; ++l) values[i + l] = last[l];
}

// Prunes groups of any m up to max_pruned_group. The values are readable and writable up to a vector after `count`.
static void prune_small_groups(Scalar* values, Index count, Index n, Index m) {
  constexpr Index capacity = (max_pruned_group + lanes - 1) / lanes * lanes;
  Bits rank[capacity];
  Mask index{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) index[l] = l;
  for (Index begin = 0; begin < count; begin += m) {
    const Index size = count - begin < m ? count - begin : m;
    Scalar* const group_values = values + begin;
    for (Index i = 0; i < size; i += lanes) {
      const Mask r = magnitude_rank(load(group_values + i));
      __builtin_memcpy(rank + i, &r, sizeof r);
    }
    for (Index i = 0; i < size; i += lanes) {
      const Vec v = load(group_values + i);
      Mask before{}, own;
      __builtin_memcpy(&own, rank + i, sizeof own);
      const Mask at = index + static_cast<Bits>(i);
      for (Index j = 0; j < size; ++j) before += rank[j] > own + (at > static_cast<Bits>(j));
      const Mask kept = before + static_cast<Bits>(n) > 0, outside = at >= static_cast<Bits>(size);
      store(group_values + i, (kept | outside) != 0 ? v : broadcast(-infinity));
    }
  }
}

// Writes the ranks of the magnitudes of values[0, count), in whole vectors.
static void magnitude_ranks(const Scalar* values, Index count, Bits* ranks) {
  for (Index i = 0; i < count; i += lanes) {
    const Mask r = magnitude_rank(load(values + i));
    __builtin_memcpy(ranks + i, &r, sizeof r);
  }
}

// Replaces all but the n largest magnitudes of each m values by -inf. The last group may be short. NaN ranks highest,
// ties go to the first; values of -inf do not count. m is at most max_pruned_group.
static void prune_n_m(Scalar* values, Index count, Index n, Index m) {
  if (m == 2) return prune_groups<2>(values, count, n);
  if (m == 4) return prune_groups<4>(values, count, n);
  if (m == 8) return prune_groups<8>(values, count, n);
  prune_small_groups(values, count, n, m);
}
