// SPDX-License-Identifier: MIT
// Thinning the candidates of rows to their k best.

// Floats in order of value as integers in the same order, and back (the map is its own inverse).
[[gnu::always_inline]] static inline Bits flip(Bits b) { return b ^ ((b >> (8 * sizeof(Bits) - 1)) & ~sign_bit); }
[[gnu::always_inline]] static inline Bits rank(Scalar x) { return flip(__builtin_bit_cast(Bits, x)); }
[[gnu::always_inline]] static inline Scalar from_rank(Bits r) { return __builtin_bit_cast(Scalar, flip(r)); }
// A number below x: the next one, but none between the smallest normal numbers, which all equal 0 to a processor that
// takes denormals for zeros.
[[gnu::always_inline]] static inline Scalar below(Scalar x) {
  return -smallest_normal < x && x < smallest_normal ? -smallest_normal : from_rank(rank(x) - 1);
}

// log2, within 0.09: the exponent, and the mantissa as if it were linear.
[[gnu::always_inline]] static inline float rough_log2(Index x) {
  return static_cast<float>(__builtin_bit_cast(std::int32_t, static_cast<float>(x))) * 0x1p-23F - 127.0F;
}

// The largest number of values[0, padded), where -inf fills up, and whether any is NaN.
[[gnu::always_inline]] static inline Scalar peak(const Scalar* values, Index padded, bool& nan) {
  Vec high[chains];
  FILIGREE_UNROLL
  for (int c = 0; c < chains; ++c) high[c] = broadcast(-infinity);
  unsigned found = 0;
  sweep(values, padded, [&](int c, const Vec& v) {
    high[c] = v > high[c] ? v : high[c];
    found |= above(v, broadcast(infinity));
  });
  FILIGREE_UNROLL
  for (int c = 1; c < chains; ++c) high[0] = high[c] > high[0] ? high[c] : high[0];
  nan = found != 0;
  return largest(high[0]);
}

// The least number, likewise.
[[gnu::always_inline]] static inline Scalar least(const Scalar* values, Index padded) {
  Vec low[chains];
  FILIGREE_UNROLL
  for (int c = 0; c < chains; ++c) low[c] = broadcast(infinity);
  sweep(values, padded, [&](int c, const Vec& v) {
    const Vec present = v == broadcast(-infinity) ? broadcast(infinity) : v;
    low[c] = present < low[c] ? present : low[c];
  });
  FILIGREE_UNROLL
  for (int c = 1; c < chains; ++c) low[0] = low[c] < low[0] ? low[c] : low[0];
  return -largest(-low[0]);
}

// Three bounds inside (lo, hi): at first around a guess, then at the quarters, and when values are too close or too far
// apart for that, halfway in rank among all floats.
[[gnu::always_inline]] static inline void place(Scalar lo, Scalar hi, int step, Scalar guess, Scalar* at /*[3]*/) {
  const Scalar spread = hi - lo;
  at[0] = lo + spread * (step == 0 ? guess * Scalar(0.8) : Scalar(0.25));
  at[1] = lo + spread * (step == 0 ? guess : Scalar(0.5));
  at[2] = lo + spread * (step == 0 ? guess * Scalar(1.25) : Scalar(0.75));
  if (step < 12 && lo < at[0] && at[0] < at[1] && at[1] < at[2] && at[2] < hi) return;
  const Bits x = rank(lo), y = rank(hi);
  at[0] = at[1] = at[2] = from_rank((x & y) + ((x ^ y) >> 1));  // the floor of the mean, without overflow
}

// A search for the k best of a list: fewer than k of the values it looks at exceed hi, at least k exceed lo.
struct Search {
  Scalar* values;
  Column* columns;
  Scalar* bound;
  Index count;
  Scalar* to_values;  // where the best go: to the front of the list, or elsewhere
  Column* to_columns;
  const Scalar* sample;  // what the search looks at: the values, or the largest of each few of them
  Scalar lo, hi, least, guess;
  Index above_lo, above_hi;
};

[[gnu::always_inline]] static inline bool is_unfinished(const Search& s, Index most) {
  return s.above_lo > most && s.hi > s.least && rank(s.lo) + 1 < rank(s.hi);
}

[[gnu::always_inline]] static inline Index count_above(const Scalar* values, Index padded, Scalar t) {
  const Vec bound = broadcast(t);
  Index count = 0;
  for (Index i = 0; i < padded; i += lanes) count += population(above(load(values + i), bound));
  return count;
}

// The largest of every few values: vector i meets vector i + size, i + 2 size, ... If k of these exceed a bound, k of
// the values do, and hardly more of them; a search among a quarter of the numbers is four times as fast.
[[gnu::always_inline]] static inline void block_max(const Scalar* values, Index padded, Index size, Scalar* maxima) {
  for (Index i = 0; i < size; i += lanes) {
    Vec high = load(values + i);
    for (Index j = i + size; j < padded; j += size) {
      const Vec v = load(values + j);
      high = v > high ? v : high;
    }
    store(maxima + i, high);
  }
}

[[gnu::always_inline]] static inline void begin(Search& s, Index size, Index k, float tail) {
  bool nan = false;
  s.hi = peak(s.sample, size, nan);
  // Among the candidates may be some that equal the bound: those that were kept when it was raised.
  const bool bounded = *s.bound > -infinity;
  s.least = bounded ? *s.bound : least(s.sample, size);
  s.lo = below(s.least);
  s.guess = static_cast<Scalar>(bounded ? tail : 0.5F + 0.5F * tail);  // beyond a bound, or beyond the median
  s.above_lo = size;
  s.above_hi = nan ? count_above(s.sample, size, infinity) : 0;
  if (s.above_hi >= k) {  // nothing but NaN has a place any more
    s.lo = s.hi = infinity;
    s.above_hi = 0;
  }
}

// One pass: where three bounds stand. One bound per pass would spend most of its time waiting for the count. Which of
// the four parts holds the answer is looked up, because no branch could predict it; lower and upper ends stand in
// arrays of their own, because a pair loaded at once from what was just stored in pieces waits until the stores have
// left the core.
[[gnu::always_inline]] static inline void bisect(Search& s, Index size, Index k, int step) {
  Scalar at[3];
  place(s.lo, s.hi, step, s.guess, at);
  const Vec t0 = broadcast(at[0]), t1 = broadcast(at[1]), t2 = broadcast(at[2]);
  Index n0 = 0, n1 = 0, n2 = 0;
  for (Index i = 0; i < size; i += lanes) {
    const Vec v = load(s.sample + i);
    n0 += population(above(v, t0));
    n1 += population(above(v, t1));
    n2 += population(above(v, t2));
  }
  const Scalar lower[4] = {s.lo, at[0], at[1], at[2]}, upper[4] = {at[0], at[1], at[2], s.hi};
  const Index above_lower[4] = {s.above_lo, n0, n1, n2}, above_upper[4] = {n0, n1, n2, s.above_hi};
  const int part = (n0 >= k) + (n1 >= k) + (n2 >= k);
  s.lo = lower[part];
  s.hi = upper[part];
  s.above_lo = above_lower[part];
  s.above_hi = above_upper[part];
}

// Moves what stays. What exceeds lo stays; if that is still more than `most`, only the first few of those
// that do not exceed hi, which are all equal.
[[gnu::always_inline]] static inline Index compact(const Search& s, Index padded, Index k, Index most) {
  const Vec vlo = broadcast(s.lo);
  Index out = 0;
  if (s.above_lo <= most) {
    *s.bound = s.lo;
    for (Index i = 0; i < padded; i += lanes) {
      const Vec v = load(s.values + i);
      out += append(s.to_values + out, s.to_columns + out, v, load_columns(s.columns + i), above(v, vlo));
    }
    return out;
  }
  // A sample has seen no value between lo and hi; the list may have some, which are no ties.
  const bool nan_only = s.lo == infinity;
  *s.bound = s.hi;
  const Vec vhi = broadcast(s.hi);
  Index quota = k - s.above_hi;
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(s.values + i);
    const unsigned beyond = above(v, vhi), certain = nan_only ? 0U : beyond;
    unsigned equal = nan_only ? beyond : at_least(v, vhi) & ~beyond;
    while (population(equal) > quota) equal &= ~(1U << (31 - __builtin_clz(equal)));
    quota -= population(equal);
    out += append(s.to_values + out, s.to_columns + out, v, load_columns(s.columns + i), certain | equal);
  }
  return out;
}

// Thins lists (columns ascending, no -inf among them, more than k each) to their k best: lowest columns first among
// equals, NaN above all; about `slack` more may stay. Leaves the new count in each; `bound` is raised to what later
// candidates must exceed. No sort; two bits of the answer per pass, one pass of moves. The lists go through each pass
// together: a pass is shorter than the wait for its result, which the next list fills.
// The buffers are readable and writable up to the longest list of the group, in whole vectors and one more.
static void keep_top_k_of_group(Search* lists, int size, Index k, Index slack) {
  const bool rough = slack > 0;
  Index longest = 0;
  for (int i = 0; i < size; ++i) longest = lists[i].count > longest ? lists[i].count : longest;
  const Index padded = (longest + lanes - 1) / lanes * lanes, most = k + slack;
  // Rough work may search among the largest of every four or two, as long as these are twice as many as are wanted.
  constexpr Index capacity = 16 * lanes;
  Scalar maxima[group * capacity];
  Index sample = padded;
  for (Index part = 4; rough && part > 1 && sample == padded; part /= 2) {
    const Index vectors = (padded / lanes + part - 1) / part;
    if (vectors * lanes >= 2 * k && vectors * lanes <= capacity) sample = vectors * lanes;
  }
  // If values fall off exponentially, the k-th best of n lies this far on the way from the bound to the best. So many
  // values exceed the k-th best of the sample: -log(1 - k/sample) * sample, nearly.
  const Index expected = rough && sample < padded ? k + 3 * k * k / (4 * sample) : k;
  const float tail = 1.0F - rough_log2(expected) / rough_log2(longest);
  int active[group], left = 0;
  for (int i = 0; i < size; ++i) {
    Search& list = lists[i];
    for (Index j = list.count; j < padded; j += lanes) store(list.values + j, broadcast(-infinity));
    list.sample = list.values;
    if (rough && sample < padded) {
      block_max(list.values, padded, sample, maxima + i * capacity);
      list.sample = maxima + i * capacity;
    }
    begin(list, sample, k, tail);
    active[left] = i;
    left += is_unfinished(list, most) ? 1 : 0;
  }
  for (int step = 0; left > 0; ++step) {
    int still = 0;
    for (int a = 0; a < left; ++a) {
      const int i = active[a];
      bisect(lists[i], sample, k, step);
      active[still] = i;
      still += is_unfinished(lists[i], most) ? 1 : 0;
    }
    left = still;
  }
  for (int i = 0; i < size; ++i) lists[i].count = compact(lists[i], padded, k, most);
}

// Sets a list that is to be thinned where it lies. Field by field: a copy of what was just stored in pieces waits.
[[gnu::always_inline]] static inline void set(Search& list, Scalar* values, Column* columns, Index count,
                                              Scalar* bound) {
  list.values = list.to_values = values;
  list.columns = list.to_columns = columns;
  list.bound = bound;
  list.count = count;
}

// Thins one list; returns how many stay.
static Index keep_top_k_of(Scalar* values, Column* columns, Index count, Index k, Index slack, Scalar* bound) {
  if (count <= k) return count;
  Search list;
  set(list, values, columns, count, bound);
  keep_top_k_of_group(&list, 1, k, slack);
  if (list.count > k + 2 * slack) keep_top_k_of_group(&list, 1, k, 0);  // the largest few met each other in the fold
  return list.count;
}

// Whether any of count[0, rows) exceeds the limit.
[[gnu::always_inline]] static inline bool any_above(const Column* count, Index rows, Index limit) {
  ColumnVec spare{};  // negative where a count exceeds the limit
  const ColumnVec most = ColumnVec{} + static_cast<Column>(limit);
  Index r = 0;
  for (; r + lanes <= rows; r += lanes) spare |= most - load_columns(count + r);
  bool any = false;
  for (; r < rows; ++r) any = any || count[r] > limit;
  for (int l = 0; l < lanes; ++l) any = any || spare[l] < 0;
  return any;
}

// Calls use(lists, rows, size) for groups of the rows that have more than `limit` candidates.
template <class Use>
[[gnu::always_inline]] static inline void for_each_group(Candidates<Scalar> rows, Index count, Index limit,
                                                         const Use& use) {
  Search lists[group];
  Index numbers[group];
  int size = 0;
  for (Index r = 0; r < count; ++r) {
    numbers[size] = r;
    size += rows.count[r] > limit ? 1 : 0;
    if (size < group && r + 1 < count) continue;
    for (int i = 0; i < size; ++i) {
      const Candidates<Scalar> row = rows.from(numbers[i]);
      set(lists[i], row.values, row.columns, *row.count, row.bound);
    }
    if (size > 0) use(lists, numbers, size);
    size = 0;
  }
}

// Thins every row that has more than `limit` candidates.
static void keep_top_k(Candidates<Scalar> rows, Index count, Index k, Index slack, Index limit) {
  if (!any_above(rows.count, count, limit)) return;
  for_each_group(rows, count, limit, [&](Search* lists, const Index* numbers, int size) {
    keep_top_k_of_group(lists, size, k, slack);
    for (int i = 0; i < size; ++i) {
      if (lists[i].count > k + 2 * slack)
        keep_top_k_of_group(lists + i, 1, k, 0);  // the largest few met each other in the fold
      rows.count[numbers[i]] = static_cast<Column>(lists[i].count);
    }
  });
}

// How many standard deviations above the mean a normal variable lies with probability p <= 1/2, within 0.03.
// Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.22; rough_log2 brings the larger error.
[[gnu::always_inline]] static inline float tail_quantile(float log2_p) {
  const float u = __builtin_sqrtf(-2 * 0.6931472F * log2_p);
  return u - (2.30753F + 0.27061F * u) / (1 + u * (0.99229F + 0.04481F * u));
}

// Mean and variance of the values whose squared distance from the origin is at most `reach`. Changes what is stored
// after the values, up to a whole vector.
struct Moments {
  Scalar mean, variance;
};
static Moments moments(Scalar* values, Index n, Scalar origin, Scalar reach) {
  const Vec zero = broadcast(origin), limit = broadcast(reach);
  const Index padded = (n + lanes - 1) / lanes * lanes;
  for (Index i = n; i < padded; i += lanes) store(values + i, zero);
  Vec first[chains]{}, second[chains]{}, size[chains]{};
  sweep(values, padded, [&](int c, const Vec& v) {
    const Vec x = v - zero, square = x * x;
    const Mask inside = square <= limit;
    first[c] += inside ? x : Vec{};
    second[c] += inside ? square : Vec{};
    size[c] += inside ? broadcast(1) : Vec{};
  });
  const auto total = [](const Vec* part) { return sum((part[0] + part[1]) + (part[2] + part[3])); };
  const Scalar count = total(size) - static_cast<Scalar>(padded - n);
  const Scalar mean = total(first) / count;
  return {origin + mean, total(second) / count - mean * mean};
}

// Gives rows without a bound that have more than `limit` candidates one which about `expected` of these exceed, if
// scores are normally distributed, and drops the others. It is a guess: unlike thinning it may drop some of the best.
// Where it is far from what it should be for the candidates at hand, the row is left as it is.
//
// Values more than three standard deviations from the mean are left out of the moments, since one outlier would raise
// the bound too far. The standard deviation of the other values of a normal variable is 1.4% smaller, so the bound is
// rather too low, which costs less than a bound that is too high.
static void estimate_bounds(Candidates<Scalar> rows, Index count, Index limit, float expected) {
  if (!any_above(rows.count, count, limit)) return;
  for (Index r = 0; r < count; ++r) {
    const Index n = rows.count[r];
    if (n <= limit || rows.bound[r] > -infinity) continue;
    Scalar* values = rows.values + r * rows.stride;
    Column* columns = rows.columns + r * rows.stride;
    const Index padded = (n + lanes - 1) / lanes * lanes;
    const Moments all = moments(values, n, values[0], infinity);
    const Moments most = moments(values, n, all.mean, 9 * all.variance);
    if (!(most.variance > 0 && all.variance < infinity)) continue;
    const float log2_p = rough_log2(static_cast<Index>(1024 * expected)) - rough_log2(1024 * n);
    const Scalar deviation = static_cast<Scalar>(__builtin_sqrt(most.variance));
    const Scalar t = most.mean + static_cast<Scalar>(tail_quantile(log2_p)) * deviation;
    for (Index i = n; i < padded; i += lanes) store(values + i, broadcast(-infinity));
    if (2 * static_cast<float>(count_above(values, padded, t) + 1) < expected) continue;
    const Vec bound = broadcast(t);
    Index out = 0;
    for (Index i = 0; i < padded; i += lanes) {
      const Vec v = load(values + i);
      out += append(values + out, columns + out, v, load_columns(columns + i), above(v, bound));
    }
    rows.count[r] = static_cast<Column>(out);
    rows.bound[r] = t;
  }
}

// Moves the k best of every row to `to`, in whole vectors; the rows themselves and their bounds are spoilt.
static void move_top_k(Candidates<Scalar> rows, Index count, Index k, Candidates<Scalar> to) {
  for (Index r = 0; r < count; ++r) {
    const Candidates<Scalar> from = rows.from(r), target = to.from(r);
    const Index kept = *from.count < k ? *from.count : k;
    *target.count = static_cast<Column>(kept);
    if (*from.count > k) continue;
    for (Index i = 0; i < kept; i += lanes) {
      store(target.values + i, load(from.values + i));
      const ColumnVec columns = load_columns(from.columns + i);
      __builtin_memcpy(target.columns + i, &columns, sizeof columns);
    }
  }
  for_each_group(rows, count, k, [&](Search* lists, const Index* numbers, int size) {
    for (int i = 0; i < size; ++i) {
      const Candidates<Scalar> target = to.from(numbers[i]);
      lists[i].to_values = target.values;
      lists[i].to_columns = target.columns;
    }
    keep_top_k_of_group(lists, size, k, 0);
  });
}
