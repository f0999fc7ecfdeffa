// SPDX-License-Identifier: MIT
// The k largest of a few values, by comparisons of all pairs. No comparison waits for another one, so this takes less
// time than a search.

static constexpr Index max_pairwise = 32;  // largest number of values, of which there is a bit each in a mask

// Returns the mask of the values that fewer than k others exceed: more than k of them if there are ties. NaN ranks
// highest. greater[i] is the number of values that exceed values[i]. Both buffers have room for max_pairwise values,
// and `values` for one more vector.
static unsigned rank_pairwise(Scalar* values, Index count, Index k, Scalar* greater) {
  Bits rank[max_pairwise];
  if (count % lanes != 0) store(values + count, broadcast(-infinity));
  for (Index i = 0; i < count; i += lanes) {
    const Mask r = ranks(load(values + i));
    __builtin_memcpy(rank + i, &r, sizeof r);
  }
  unsigned kept = 0;
  for (Index i = 0; i < count; i += lanes) {
    const Mask own = load_ranks(rank + i);
    Mask even{}, odd{};  // two chains, because of the latency
    Index e = 0;
    for (; e + 2 <= count; e += 2) {
      even -= Mask{} + rank[e] > own;
      odd -= Mask{} + rank[e + 1] > own;
    }
    if (e < count) even -= Mask{} + rank[e] > own;
    const Vec found = __builtin_convertvector(even + odd, Vec);
    store(greater + i, found);
    kept |= (~at_least(found, broadcast(static_cast<Scalar>(k))) & all_lanes) << i;
  }
  return kept & (~0U >> (max_pairwise - count));
}

// Returns the smallest number of those that fewer than k values exceed, or infinity if all of these are NaN.
static Scalar kth_pairwise(const Scalar* values, Index count, Index k, const Scalar* greater) {
  Vec low = broadcast(infinity);
  for (Index i = 0; i < count; i += lanes) {
    const Vec v = load(values + i);
    const Mask less = (load(greater + i) < broadcast(static_cast<Scalar>(k))) & (v < low);
    low = less ? v : low;
  }
  return -largest(-low);
}

// Reduces a list of at most max_pairwise values to its k largest; ties go to the lowest column. The list has room for
// max_pairwise values and one more vector.
static Index keep_pairwise(Scalar* values, Column* columns, Index count, Index k) {
  Scalar greater[max_pairwise];
  unsigned kept = rank_pairwise(values, count, k, greater);
  if (Index excess = __builtin_popcount(kept) - k; excess > 0) {
    Scalar most = 0;
    for (Index i = 0; i < count; ++i)
      if ((kept >> i & 1U) != 0 && greater[i] > most) most = greater[i];
    for (Index i = count - 1; excess > 0; --i) {  // the last of the ties
      if (greater[i] != most) continue;
      kept &= ~(1U << i);
      --excess;
    }
  }
  Index out = 0;
  for (Index i = 0; i < count; i += lanes)
    out += append(values + out, columns + out, load(values + i), load_columns(columns + i), kept >> i & all_lanes);
  return out;
}
