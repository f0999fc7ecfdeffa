// SPDX-License-Identifier: MIT
// Reduces the candidates of rows to their k largest.

// Maps floating-point numbers to integers with the same order, and back (`flip` is its own inverse).
[[gnu::always_inline]] static inline Bits flip(Bits b) { return b ^ ((b >> (8 * sizeof(Bits) - 1)) & ~sign_bit); }
[[gnu::always_inline]] static inline Bits rank(Scalar x) { return flip(__builtin_bit_cast(Bits, x)); }
[[gnu::always_inline]] static inline Scalar from_rank(Bits r) { return __builtin_bit_cast(Scalar, flip(r)); }
// Returns the largest number below x, skipping the denormal numbers and 0: a processor that treats denormals as zero
// compares them as equal.
[[gnu::always_inline]] static inline Scalar below(Scalar x) {
  return -smallest_normal < x && x < smallest_normal ? -smallest_normal : from_rank(rank(x) - 1);
}

// Returns log2(x) within 0.09: the exponent plus a linear approximation of the logarithm of the mantissa.
[[gnu::always_inline]] static inline float rough_log2(Index x) {
  return static_cast<float>(__builtin_bit_cast(std::int32_t, static_cast<float>(x))) * 0x1p-23F - 127.0F;
}

// Sets `high` and `low` to the largest and the smallest of values[0, padded), which is padded with -inf. The smallest
// ignores -inf. Returns true if any is NaN.
[[gnu::always_inline]] static inline bool find_extremes(const Scalar* values, Index padded, Scalar& high, Scalar& low) {
  Vec most = broadcast(-infinity), least = broadcast(infinity);
  unsigned nan = 0;
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(values + i), present = v == broadcast(-infinity) ? broadcast(infinity) : v;
    most = v > most ? v : most;
    least = present < least ? present : least;
    nan |= above(v, broadcast(infinity));
  }
  high = largest(most);
  low = -largest(-least);
  return nan != 0;
}

// Sets three bounds inside (lo, hi): around a guess in the first step, then at the quartiles. If the values are too
// close or too far apart for that, all three are the midpoint in the order of all floating-point numbers.
[[gnu::always_inline]] static inline void choose_bounds(Scalar lo, Scalar hi, int step, Scalar guess,
                                                        Scalar* at /*[3]*/) {
  const Scalar spread = hi - lo;
  at[0] = lo + spread * (step == 0 ? guess * Scalar(0.8) : Scalar(0.25));
  at[1] = lo + spread * (step == 0 ? guess : Scalar(0.5));
  at[2] = lo + spread * (step == 0 ? guess * Scalar(1.25) : Scalar(0.75));
  if (step < 12 && lo < at[0] && at[0] < at[1] && at[1] < at[2] && at[2] < hi) return;
  const Bits x = rank(lo), y = rank(hi);
  at[0] = at[1] = at[2] = from_rank((x & y) + ((x ^ y) >> 1));  // the floor of the mean, without overflow
}

// A search for the k largest of a list. Invariant: fewer than k values of the sample exceed hi, at least k exceed lo.
struct Search {
  Scalar* values;
  Column* columns;
  Scalar* bound;
  Index count;
  Scalar* to_values;  // output: the front of the list, or another buffer
  Column* to_columns;
  const Scalar* sample;  // the searched values: all values, or block maxima
  Scalar lo, hi, least, guess;
  Index above_lo, above_hi;
};

[[gnu::always_inline]] static inline bool is_unfinished(const Search& s, Index max_kept) {
  return s.above_lo > max_kept && s.hi > s.least && rank(s.lo) + 1 < rank(s.hi);
}

[[gnu::noinline]] static Index count_above(const Scalar* values, Index padded, Scalar t) {
  const Vec bound = broadcast(t);
  Index count = 0;
  for (Index i = 0; i < padded; i += lanes) count += population(above(load(values + i), bound));
  return count;
}

// Writes elementwise maxima of the vectors i, i + size, i + 2 size, ... If k maxima exceed a bound, then at least k
// values exceed it, and usually only a few more. Searching a quarter of the numbers is four times as fast.
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

// Sets the initial bounds of a search.
[[gnu::always_inline]] static inline void start_search(Search& s, Index size, Index k, float tail) {
  const bool nan = find_extremes(s.sample, size, s.hi, s.least);
  // Candidates may equal the bound: ties that were kept when the bound was raised.
  const bool bounded = *s.bound > -infinity;
  if (bounded) s.least = *s.bound;
  s.lo = below(s.least);
  s.guess = static_cast<Scalar>(bounded ? tail : 0.5F + 0.5F * tail);  // fraction above the bound, or the median
  s.above_lo = size;
  s.above_hi = nan ? count_above(s.sample, size, infinity) : 0;
  if (s.above_hi >= k) {  // at least k are NaN, so only NaN is kept
    s.lo = s.hi = infinity;
    s.above_hi = 0;
  }
}

// One pass: counts the values above three bounds and keeps one of the four intervals between them. With one bound per
// pass, most of the time would be spent waiting for the count. The interval is selected by table lookup, because a
// branch would be unpredictable. Lower and upper ends are in separate arrays: loading a pair at once that was just
// stored in two pieces would stall, as store forwarding fails.
[[gnu::always_inline]] static inline void bisect(Search& s, Index size, Index k, int step) {
  Scalar at[3];
  choose_bounds(s.lo, s.hi, step, s.guess, at);
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
  const int interval = (n0 >= k) + (n1 >= k) + (n2 >= k);
  s.lo = lower[interval];
  s.hi = upper[interval];
  s.above_lo = above_lower[interval];
  s.above_hi = above_upper[interval];
}

// Moves the kept values and columns to the output. Keeps the values above lo. If these are more than max_kept, keeps
// the values above hi, and of the ties at hi only the first, up to k in total.
[[gnu::always_inline]] static inline Index compact(const Search& s, Index padded, Index k, Index max_kept) {
  const Vec vlo = broadcast(s.lo);
  Index out = 0;
  if (s.above_lo <= max_kept) {
    *s.bound = s.lo;
    for (Index i = 0; i < padded; i += lanes) {
      const Vec v = load(s.values + i);
      out += append(s.to_values + out, s.to_columns + out, v, load_columns(s.columns + i), above(v, vlo));
    }
    return out;
  }
  // The sample has no value between lo and hi. The rest of the list may have some; they are not ties and are dropped.
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

// Reduces lists to their k largest values. The columns are ascending, no value is -inf, and each list has more than k
// values. NaN ranks first, ties go to the lowest column, and about `slack` more values may be kept. Sets the new count
// of each list, and raises `bound` to the value that later candidates must exceed. Nothing is sorted: each pass finds
// two bits of the bound, and a last pass moves the kept values. The lists are processed together in each pass, because
// the latency of a pass's result exceeds the time for the pass; the next list fills the wait. The buffers are readable
// and writable up to the longest list of the group, in whole vectors, plus one more vector.
static void keep_top_k_of_group(Search* lists, int size, Index k, Index slack) {
  const bool approximate = slack > 0;
  Index longest = 0;
  for (int i = 0; i < size; ++i) longest = lists[i].count > longest ? lists[i].count : longest;
  const Index padded = ceil_div(longest, lanes) * lanes, max_kept = k + slack;
  // With slack, the search may use the maxima of blocks of four or two values, if there are at least 2k such maxima.
  constexpr Index capacity = 16 * lanes;
  Scalar maxima[group * capacity];
  Index sample = padded;
  for (Index ratio = 4; approximate && ratio > 1 && sample == padded; ratio /= 2) {
    const Index vectors = ceil_div(padded / lanes, ratio);
    if (vectors * lanes >= 2 * k && vectors * lanes <= capacity) sample = vectors * lanes;
  }
  // `expected` approximates -log(1 - k/sample) * sample, the number of values above the k-th largest of the sample. If
  // the tail is exponential, the k-th largest of n values is at the fraction `tail` of the way from bound to maximum.
  const Index expected = approximate && sample < padded ? k + 3 * k * k / (4 * sample) : k;
  const float tail = 1.0F - rough_log2(expected) / rough_log2(longest);
  int active[group], active_count = 0;
  for (int i = 0; i < size; ++i) {
    Search& list = lists[i];
    for (Index j = list.count; j < padded; j += lanes) store(list.values + j, broadcast(-infinity));
    list.sample = list.values;
    if (approximate && sample < padded) {
      block_max(list.values, padded, sample, maxima + i * capacity);
      list.sample = maxima + i * capacity;
    }
    start_search(list, sample, k, tail);
    active[active_count] = i;
    active_count += is_unfinished(list, max_kept) ? 1 : 0;
  }
  for (int step = 0; active_count > 0; ++step) {
    int remaining = 0;
    for (int a = 0; a < active_count; ++a) {
      const int i = active[a];
      bisect(lists[i], sample, k, step);
      active[remaining] = i;
      remaining += is_unfinished(lists[i], max_kept) ? 1 : 0;
    }
    active_count = remaining;
  }
  for (int i = 0; i < size; ++i) lists[i].count = compact(lists[i], padded, k, max_kept);
}

// Initializes a search whose output replaces its input. Each field is set separately: copying a struct that was just
// stored in pieces would stall, as store forwarding fails.
[[gnu::always_inline]] static inline void set_list(Search& list, Scalar* values, Column* columns, Index count,
                                                   Scalar* bound) {
  list.values = list.to_values = values;
  list.columns = list.to_columns = columns;
  list.bound = bound;
  list.count = count;
}

// Reduces one list and returns the new count.
static Index keep_top_k_of(Scalar* values, Column* columns, Index count, Index k, Index slack, Scalar* bound) {
  if (count <= k) return count;
  Search list;
  set_list(list, values, columns, count, bound);
  keep_top_k_of_group(&list, 1, k, slack);
  if (list.count > k + 2 * slack) keep_top_k_of_group(&list, 1, k, 0);  // many large values had the same block maximum
  return list.count;
}

// Returns true if any of count[0, rows) exceeds the limit.
static bool any_above(const Column* count, Index rows, Index limit) {
  ColumnVec difference{};  // negative where a count exceeds the limit
  const ColumnVec max_count = ColumnVec{} + static_cast<Column>(limit);
  Index r = 0;
  for (; r + lanes <= rows; r += lanes) difference |= max_count - load_columns(count + r);
  bool any = false;
  for (; r < rows; ++r) any = any || count[r] > limit;
  for (int l = 0; l < lanes; ++l) any = any || difference[l] < 0;
  return any;
}

// Calls use(lists, rows, size) for groups of rows with more than `limit` candidates each.
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
      set_list(lists[i], row.values, row.columns, *row.count, row.bound);
    }
    if (size > 0) use(lists, numbers, size);
    size = 0;
  }
}

// Reduces every row that has more than `limit` candidates.
static void keep_top_k(Candidates<Scalar> rows, Index count, Index k, Index slack, Index limit) {
  if (!any_above(rows.count, count, limit)) return;
  for_each_group(rows, count, limit, [&](Search* lists, const Index* numbers, int size) {
    keep_top_k_of_group(lists, size, k, slack);
    for (int i = 0; i < size; ++i) {
      if (lists[i].count > k + 2 * slack)
        keep_top_k_of_group(lists + i, 1, k, 0);  // many large values had the same block maximum
      rows.count[numbers[i]] = static_cast<Column>(lists[i].count);
    }
  });
}

// Returns the quantile x of the standard normal distribution with P(X > x) = p, p <= 1/2, within 0.03.
// Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.22; most of the error is rough_log2's.
[[gnu::always_inline]] static inline float tail_quantile(float log2_p) {
  const float u = __builtin_sqrtf(-2 * 0.6931472F * log2_p);
  return u - (2.30753F + 0.27061F * u) / (1 + u * (0.99229F + 0.04481F * u));
}

// The mean and the variance of a set of values.
struct Moments {
  Scalar mean, variance;
};
// Returns the moments of the values whose squared distance from the origin is at most `max_square`. Overwrites the
// buffer after the values, up to a whole vector.
[[gnu::noinline]] static Moments moments(Scalar* values, Index n, Scalar origin, Scalar max_square) {
  const Vec zero = broadcast(origin), limit = broadcast(max_square);
  const Index padded = ceil_div(n, lanes) * lanes;
  for (Index i = n; i < padded; i += lanes) store(values + i, zero);
  Vec first{}, second{}, size{};
  for (Index i = 0; i < padded; i += lanes) {
    const Vec x = load(values + i) - zero, square = x * x;
    const Mask inside = square <= limit;
    first += inside ? x : Vec{};
    second += inside ? square : Vec{};
    size += inside ? broadcast(1) : Vec{};
  }
  const Scalar count = sum(size) - static_cast<Scalar>(padded - n);
  const Scalar mean = sum(first) / count;
  return {origin + mean, sum(second) / count - mean * mean};
}

// Estimates a bound for each row that has no bound and more than `limit` candidates, and drops the candidates below the
// bound. If scores are normally distributed, about `expected` candidates exceed it. The bound is a guess: unlike
// keep_top_k, this may drop some of the k largest. A row of which fewer than half the expected number exceed the bound
// is not changed.
//
// Values more than three standard deviations from the mean are excluded from the moments, since one outlier would raise
// the bound too far. This makes the standard deviation of a normal variable 1.4% smaller, so the bound tends to be too
// low. That costs less than a bound that is too high.
static void estimate_bounds(Candidates<Scalar> rows, Index count, Index limit, float expected) {
  if (!any_above(rows.count, count, limit)) return;
  for (Index r = 0; r < count; ++r) {
    const Index n = rows.count[r];
    if (n <= limit || rows.bound[r] > -infinity) continue;
    Scalar* values = rows.values + r * rows.stride;
    Column* columns = rows.columns + r * rows.stride;
    const Moments all = moments(values, n, values[0], infinity);
    const Moments inner = moments(values, n, all.mean, 9 * all.variance);
    if (!(inner.variance > 0 && all.variance < infinity)) continue;
    const float log2_p = rough_log2(static_cast<Index>(1024 * expected)) - rough_log2(1024 * n);
    const Scalar deviation = static_cast<Scalar>(__builtin_sqrt(inner.variance));
    const Scalar t = inner.mean + static_cast<Scalar>(tail_quantile(log2_p)) * deviation;
    for (Index i = n; i < ceil_div(n, lanes) * lanes; i += lanes) store(values + i, broadcast(-infinity));
    if (2 * static_cast<float>(count_above(values, n, t) + 1) < expected) continue;
    rows.count[r] = static_cast<Column>(keep_above(values, columns, n, t));
    rows.bound[r] = t;
  }
}

// Moves the k largest of every row to `to`, in whole vectors. Overwrites the rows and their bounds.
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
