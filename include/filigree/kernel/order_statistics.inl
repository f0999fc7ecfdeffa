// SPDX-License-Identifier: MIT
// Order statistics of whole matrices: the bound of the k largest entries of all rows, or of each column. -inf is
// absent, and NaN ranks above all numbers.

// Returns the k-th largest of values[0, count), 1 <= k <= count. No value is -inf. The buffer is readable and writable
// in whole vectors.
static OrderStatistic<Scalar> kth_largest(Scalar* values, Index count, Index k) {
  const Index padded = ceil_div(count, lanes) * lanes;
  for (Index i = count; i < padded; ++i) values[i] = -infinity;
  if (count <= 1024) {  // the few values that may be among the k largest
    const Scalar low = count > max_pairwise ? bound_of_maxima(values, count, k) : -infinity;
    if (count_in(values, padded, low) <= max_pairwise) {
      Scalar candidates[max_pairwise + lanes], greater[max_pairwise];
      Column columns[max_pairwise + lanes];
      const Index found = copy_above(values, padded, low, candidates, columns);
      const unsigned kept = rank_pairwise(candidates, found, k, greater);
      const Scalar bound = kth_pairwise(candidates, found, k, greater);
      Index nan = 0;
      for (Index i = 0; i < found; ++i) nan += candidates[i] == candidates[i] ? 0 : 1;
      if (nan >= k) return {static_cast<Scalar>(__builtin_nan("")), true};
      return {bound, __builtin_popcount(kept) > k};
    }
  }
  Search search;
  Scalar bound = -infinity;
  search.values = values;
  search.sample = values;
  search.bound = &bound;
  search.count = count;
  start_search(search, padded, k, 0);
  search.above_lo = count;
  for (int step = 0; is_unfinished(search, k); ++step) bisect(search, padded, k, step);
  if (search.lo == infinity) return {static_cast<Scalar>(__builtin_nan("")), true};  // at least k are NaN
  if (search.above_lo > k) return {search.hi, true};
  // The smallest value above lo. It is not NaN: fewer than k are.
  const Vec limit = broadcast(search.lo);
  Vec low = broadcast(infinity);
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(values + i);
    low = ((v > limit) & (v < low)) ? v : low;
  }
  return {-largest(-low), false};
}

// Loads the first `count` lanes; the others are absent.
[[gnu::always_inline]] static inline Vec load_present(const Scalar* p, Index count) {
  const Vec index = __builtin_convertvector(iota(), Vec);
  return index < broadcast(static_cast<Scalar>(count)) ? load_first(p, count) : broadcast(-infinity);
}

[[gnu::always_inline]] static inline Index sum_lanes(const Mask& counts) {
  Index total = 0;
  for (int l = 0; l < lanes; ++l) total += counts[l];
  return total;
}

// Adds values[0, count) to the counts of a division, and appends those strictly between its bounds, while there is
// room.
static void divide(const Scalar* values, Index count, bool magnitude, Division<Scalar>& division) {
  Division<Scalar> d = division;
  const Vec lo = broadcast(d.lo), hi = broadcast(d.hi), absent = broadcast(-infinity);
  Column ignored[lanes];
  Mask below_hi{}, upto_hi{}, below_lo{}, not_present{};  // numbers of values in each lane; NaN is in none of them
  const auto take = [&](const Vec& x) {
    const Vec v = !magnitude ? x : x == absent ? x : absolute(x);
    below_hi -= v < hi;
    upto_hi -= v <= hi;
    below_lo -= v < lo;
    not_present -= v == absent;
    const Index at = d.between < d.capacity ? d.between : d.capacity;
    d.between += append(d.values + at, ignored, v, ColumnVec{}, above(v, lo) & ~at_least(v, hi));
  };
  Index i = 0;
  for (; i + lanes <= count; i += lanes) take(load(values + i));
  if (i < count) take(load_present(values + i, count - i));
  const Index taken = ceil_div(count, lanes) * lanes;
  d.from_hi += taken - sum_lanes(below_hi);
  d.above_hi += taken - sum_lanes(upto_hi);
  d.from_lo += taken - sum_lanes(below_lo);
  d.present += taken - sum_lanes(not_present);
  division = d;
}

// Returns how many of values[0, count) equal x, or are NaN if x is NaN.
static Index count_equal(const Scalar* values, Index count, bool magnitude, Scalar x) {
  const Vec bound = broadcast(x == x ? x : infinity);
  Index found = 0;
  for (Index i = 0; i < count; i += lanes) {
    const Vec all = count - i < lanes ? load_present(values + i, count - i) : load(values + i);
    const Vec v = !magnitude ? all : all == broadcast(-infinity) ? all : absolute(all);
    const unsigned beyond = above(v, bound);
    found += population(x == x ? at_least(v, bound) & ~beyond : beyond);
  }
  return found;
}

// Makes the values absent that are not above the bound, or if `inclusive`, those below it. Keeps NaN.
static void keep_from_bound(Scalar* values, Index count, bool magnitude, Scalar bound, bool inclusive) {
  const Vec limit = broadcast(bound), absent = broadcast(-infinity);
  const auto keep = [&](const Vec& x) {
    const Vec v = magnitude ? absolute(x) : x;
    return inclusive ? (v < limit ? absent : x) : (v <= limit ? absent : x);
  };
  Index i = 0;
  for (; i + lanes <= count; i += lanes) store(values + i, keep(load(values + i)));
  if (i < count) store_first(values + i, keep(load_first(values + i, count - i)), count - i);
}

// The same for a list: removes these values and their columns, and returns the new count. The buffers are as those of
// list_above.
static Index list_from_bound(Scalar* values, Column* columns, Index count, bool magnitude, Scalar bound,
                             bool inclusive) {
  const Vec limit = broadcast(bound);
  Index out = 0;
  for (Index i = 0; i < count; i += lanes) {
    const Vec x = load(values + i), v = magnitude ? absolute(x) : x;
    const unsigned valid = count - i < lanes ? (1U << (count - i)) - 1 : ~0U;
    const unsigned kept = inclusive ? at_least(v, limit) : above(v, limit);
    out += append(values + out, columns + out, x, load_columns(columns + i), kept & valid);
  }
  return out;
}

static constexpr Bits nan_rank = ~sign_bit;
// Maps integers in the order of numbers to the bits of the numbers, and back.
[[gnu::always_inline]] static inline Mask flip(const Mask& b) {
  return b ^ ((b >> (8 * sizeof(Bits) - 1)) & (Mask{} + nan_rank));
}
// Maps each number to an integer such that integers compare as numbers rank: NaN is the largest, both zeros are equal,
// and so are denormals if the processor treats them as zeros.
[[gnu::always_inline]] static inline Mask ranks(const Vec& x) {
  const Mask number = x == Vec{} ? Mask{} : flip((Mask)x);
  return x == x ? number : Mask{} + nan_rank;
}
[[gnu::always_inline]] static inline Mask load_ranks(const Bits* p) {
  Mask v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
// Returns the logarithm to base 2, within 0.09: the exponent plus the mantissa.
[[gnu::always_inline]] static inline Vec rough_log2(const Mask& x) {
  constexpr Scalar unit = single ? Scalar(0x1p-23) : Scalar(0x1p-52);
  return __builtin_convertvector((Mask) __builtin_convertvector(x, Vec), Vec) * broadcast(unit);
}
[[gnu::always_inline]] static inline bool any_lane(const Mask& mask) {
  Bits any = 0;
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) any |= mask[l];
  return any != 0;
}

// The bounds of the `keep` largest values of each of `lanes` columns, whose ranks are given for `count` rows. `bound`
// is the rank of the last one. `last` is the last row in which a value equal to the bound is kept.
[[gnu::always_inline]] static inline void bound_of_ranks(const Bits* columns, Index count, Index keep, Mask& bound,
                                                         Mask& last) {
  const Mask absent = ranks(broadcast(-infinity)), wanted = Mask{} + static_cast<Bits>(keep);
  Mask hi = absent, least = Mask{} + nan_rank, present{};
  for (Index r = 0; r < count; ++r) {
    const Mask v = load_ranks(columns + r * lanes), is_present = v > absent;
    present -= is_present;
    hi = v > hi ? v : hi;
    least = (is_present & (v < least)) ? v : least;
  }
  // Invariant, if not all present values are kept: at least `keep` values are above lo, and fewer are above hi.
  const Mask all = present <= wanted;
  Mask lo = all ? absent : least - 1, above_lo = all ? wanted : present, above_hi{};
  for (int step = 0;; ++step) {
    const Mask open = (above_lo > wanted) & (hi > lo + 1);
    if (!any_lane(open)) break;
    // The mean of the ranks, which always lies between them, or one of two guesses that usually need fewer steps.
    const Mask mean = (lo & hi) + ((lo ^ hi) >> 1);
    const Vec low = (Vec)flip(lo), high = (Vec)flip(hi);
    const Vec many = rough_log2(above_lo), few = rough_log2(above_hi + 1);
    const Vec share = step % 3 == 2 ? broadcast(Scalar(0.5)) : (many - rough_log2(wanted)) / (many - few);
    const Mask guess = ranks((broadcast(1) - share) * low + share * high);
    const Mask at = step < 30 ? (((guess > lo) & (guess < hi)) ? guess : mean) : mean;
    Mask above_at{};
    for (Index r = 0; r < count; ++r) above_at -= load_ranks(columns + r * lanes) > at;
    const Mask raise = open & (above_at >= wanted), lower = open & (above_at < wanted);
    lo = raise ? at : lo;
    above_lo = raise ? above_at : above_lo;
    hi = lower ? at : hi;
    above_hi = lower ? above_at : above_hi;
  }
  Mask least_kept = Mask{} + nan_rank, above_bound{}, ties{};
  for (Index r = 0; r < count; ++r) {
    const Mask v = load_ranks(columns + r * lanes);
    least_kept = ((v > lo) & (v < least_kept)) ? v : least_kept;
  }
  bound = all ? absent : least_kept;
  last = Mask{} + static_cast<Bits>(count);
  if (!any_lane(above_lo > wanted)) return;
  for (Index r = 0; r < count; ++r) above_bound -= load_ranks(columns + r * lanes) > bound;
  const Mask quota = all ? Mask{} : wanted - above_bound;
  for (Index r = 0; r < count; ++r) {
    const Mask equal = load_ranks(columns + r * lanes) == bound;
    ties -= equal;
    last = (equal & (ties <= quota)) ? Mask{} + static_cast<Bits>(r) : last;
  }
}

// Sets the bounds of the `keep` largest values of each of `columns` columns, at most strip<Scalar>. A value is
// kept if it ranks above the bound, or equal to it in a row up to `last`. `memory` holds [strip][rows] integers.
static void bound_columns(const Scalar* data, Index stride, Index rows, Index columns, Index keep, Bits* memory,
                          Scalar* bound, Column* last) {
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < columns; c += lanes) {
      const Scalar* from = data + r * stride + c;
      const Mask v = ranks(columns - c < lanes ? load_present(from, columns - c) : load(from));
      __builtin_memcpy(memory + (c * rows + r * lanes), &v, sizeof v);
    }
  for (Index c = 0; c < columns; c += lanes) {
    Mask rank_of_bound, row;
    bound_of_ranks(memory + c * rows, rows, keep, rank_of_bound, row);
    const Vec number = (Vec)flip(rank_of_bound);
    for (Index l = 0; l < lanes && c + l < columns; ++l) {
      bound[c + l] = number[l];
      last[c + l] = static_cast<Column>(row[l]);
    }
  }
}

// Makes the values of row `row` absent that the bounds of their columns drop.
static void keep_from_bounds(Scalar* values, Index count, const Scalar* bounds, const Column* last, Column row) {
  const auto keep = [&](const Vec& x, const Vec& bound, const ColumnVec& end) {
    const Mask keeps_ties = __builtin_convertvector(end, Mask) >= Mask{} + static_cast<Bits>(row);
    return ranks(x) > ranks(bound) + keeps_ties ? x : broadcast(-infinity);
  };
  Index i = 0;
  for (; i + lanes <= count; i += lanes)
    store(values + i, keep(load(values + i), load(bounds + i), load_columns(last + i)));
  if (i == count) return;
  ColumnVec end{};
  for (int l = 0; l < count - i; ++l) end[l] = last[i + l];
  store_first(values + i, keep(load_first(values + i, count - i), load_first(bounds + i, count - i), end), count - i);
}

// Sets the position of each value in descending order: the number of values that rank higher, or equal with a lower
// index. NaN ranks highest. Compares all pairs, at most max_sorted values: without branches, this takes less time than
// sorting.
static void positions_of(const Scalar* values, Index count, Column* positions) {
  Bits rank_of[max_sorted + lanes];
  Mask index{};
  FILIGREE_UNROLL
  for (int l = 0; l < lanes; ++l) index[l] = l;
  for (Index i = 0; i < count; i += lanes) {
    const Mask v = ranks(count - i < lanes ? load_first(values + i, count - i) : load(values + i));
    __builtin_memcpy(rank_of + i, &v, sizeof v);
  }
  for (Index i = 0; i < count; i += lanes) {
    const Mask v = load_ranks(rank_of + i);
    const Index end = count - i < lanes ? count : i + lanes;
    Mask position{};
    Index j = 0;
    for (; j < i; ++j) position -= v <= Mask{} + rank_of[j];
    for (; j < end; ++j) {
      const Mask other = Mask{} + rank_of[j];
      position -= (v < other) | ((v == other) & (index > Mask{} + static_cast<Bits>(j - i)));
    }
    for (; j < count; ++j) position -= v < Mask{} + rank_of[j];
    for (int l = 0; l < end - i; ++l) positions[i + l] = static_cast<Column>(position[l]);
  }
}
