// SPDX-License-Identifier: MIT
// The search for the score at which a sum of probabilities reaches a bound.

// w[i] = exp(values[i] - highest), in double; 0 for -inf. Returns the sum. Reads and writes up to 16 entries after the
// list. `highest` is the largest value, and finite.
static double weights_of(const Scalar* values, Index count, Scalar highest, double* w) {
  const RoundToNearest rounding;
  constexpr int vectors = 4;
  const double top = static_cast<double>(highest);
  DoubleVec partial[vectors]{};
  const auto weight = [&](Index i) {
    ScalarsOfDoubles v;
    __builtin_memcpy(&v, values + i, sizeof v);
    return (DoubleVec)Level<double>::exponential(__builtin_convertvector(v, DoubleVec) - top);
  };
  Index i = 0;
  for (; i + vectors * double_lanes <= count; i += vectors * double_lanes) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) {
      const DoubleVec e = weight(i + c * double_lanes);
      __builtin_memcpy(w + i + c * double_lanes, &e, sizeof e);
      partial[c] += e;
    }
  }
  for (; i < count; i += double_lanes) {
    DoubleVec e = weight(i);
    for (int l = 0; l < double_lanes; ++l) e[l] = i + l < count ? e[l] : 0;
    __builtin_memcpy(w + i, &e, sizeof e);
    partial[0] += e;
  }
  return Level<double>::sum((partial[0] + partial[1]) + (partial[2] + partial[3]));
}

// The sums of the numbers above three bounds.
struct SumsAbove {
  Scalar sum[3];
};
[[gnu::always_inline]] static inline SumsAbove sums_above(const Scalar* w, Index count, const Scalar (&bound)[3]) {
  const Vec b0 = broadcast(bound[0]), b1 = broadcast(bound[1]), b2 = broadcast(bound[2]);
  Vec even[3]{}, odd[3]{};
  const auto add = [&](Vec(&to)[3], const Vec& v) {
    to[0] += v > b0 ? v : Vec{};
    to[1] += v > b1 ? v : Vec{};
    to[2] += v > b2 ? v : Vec{};
  };
  Index i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    add(even, load(w + i));
    add(odd, load(w + i + lanes));
  }
  if (i + lanes <= count) {
    add(even, load(w + i));
    i += lanes;
  }
  if (i < count) add(odd, load_first(w + i, count - i));
  return {{sum(even[0] + odd[0]), sum(even[1] + odd[1]), sum(even[2] + odd[2])}};
}

[[gnu::always_inline]] static inline Bits bits_of(Scalar x) { return __builtin_bit_cast(Bits, x); }
[[gnu::always_inline]] static inline Scalar from_bits(Bits x) { return __builtin_bit_cast(Scalar, x); }

// Sets three bounds in (low, high) at equal distances in the order of the bits, which is almost that of the logarithms.
[[gnu::always_inline]] static inline void quarter(Scalar low, Scalar high, Scalar (&bound)[3]) {
  const Bits first = bits_of(low), distance = (bits_of(high) - first) / 4;
  for (int i = 0; i < 3; ++i) bound[i] = from_bits(first + (i + 1) * distance);
}

// Moves the bounds close to the value at which the sum in a sample of the numbers is a fraction `part` of its total.
[[gnu::always_inline]] static inline void sample_bounds(const Scalar* w, Index count, Scalar part, Scalar low,
                                                        Scalar high, Scalar (&bound)[3]) {
  constexpr Index size = 256;
  if (count < 4 * size) return;
  Scalar sample[size];
  const Index stride = count / size * lanes;
  Vec all{};
  for (Index i = 0; i < size; i += lanes) {
    const Vec v = load(w + i / lanes * stride);
    store(sample + i, v);
    all += v;
  }
  const Scalar target = part * sum(all);
  const Bits distance = (bits_of(high) - bits_of(low)) / 16;
  Scalar from = low, to = high, guess[3];
  for (int step = 0; step < 3; ++step) {
    quarter(from, to, guess);
    const SumsAbove s = sums_above(sample, size, guess);
    const Scalar limits[5] = {from, guess[0], guess[1], guess[2], to};
    const int interval = (s.sum[0] >= target) + (s.sum[1] >= target) + (s.sum[2] >= target);
    from = limits[interval];
    to = limits[interval + 1];
  }
  const Bits middle = bits_of(from) + (bits_of(to) - bits_of(from)) / 2;
  if (!(middle - distance > bits_of(low) && middle + distance < bits_of(high))) return;
  for (int i = 0; i < 3; ++i) bound[i] = from_bits(middle + (i - 1) * distance);
}

// Moves the numbers in (low, high] to the front and lists their positions, with
//   sum of the numbers above high < target <= sum of the numbers above low.
// Starts with the given bounds, of which `low` is positive, and ends if at most `limit` numbers remain or low and high
// are almost equal. `total` is the sum of all numbers, and `above` is the sum of the numbers above high. Returns the
// length of the list. Sums are rounded; the positions are in ascending order.
static Index narrow_sum(Scalar* w, Column* at, Index count, Scalar target, Scalar total, Index limit,
                        SumBounds<Scalar>* bounds) {
  Scalar low = bounds->low, high = bounds->high, above_high = bounds->above;
  constexpr Scalar close = single ? Scalar(1 + 0x1p-16) : Scalar(1 + 0x1p-32);
  bool listed = false;  // the positions
  while (count > limit && high > low * close) {
    Scalar bound[3];
    quarter(low, high, bound);
    if (!listed) sample_bounds(w, count, target / total, low, high, bound);
    const SumsAbove s = sums_above(w, count, bound);
    const Scalar limits[5] = {low, bound[0], bound[1], bound[2], high};
    const Scalar sums[5] = {0, above_high + s.sum[0], above_high + s.sum[1], above_high + s.sum[2], above_high};
    const int interval = (sums[1] >= target) + (sums[2] >= target) + (sums[3] >= target);
    low = limits[interval];
    high = limits[interval + 1];
    above_high = sums[interval + 1];
    const Vec vlow = broadcast(low), vhigh = broadcast(high);
    Index out = 0;
    for (Index i = 0; i < count; i += lanes) {
      const Vec v = load(w + i);
      const unsigned valid = count - i < lanes ? (1U << (count - i)) - 1 : ~0U;
      out += append(w + out, at + out, v, listed ? load_columns(at + i) : iota() + static_cast<Column>(i),
                    above(v, vlow) & ~above(v, vhigh) & valid);
    }
    count = out;
    listed = true;
  }
  for (Index i = 0; !listed && i < count; ++i) at[i] = static_cast<Column>(i);
  *bounds = {low, high, above_high};
  return count;
}

// Replaces the values below `bound` by -inf, and those equal to it except the first `ties`.
static void cut(Scalar* values, Index count, Scalar bound, Index ties) {
  const Vec limit = broadcast(bound), none = broadcast(-infinity);
  for (Index i = 0; i < count; i += lanes) {
    const bool whole = count - i >= lanes;
    const Vec v = whole ? load(values + i) : load_first(values + i, count - i);
    Vec kept = v <= limit ? none : v;
    unsigned equal = at_least(v, limit) & ~above(v, limit);
    if (!whole) equal &= (1U << (count - i)) - 1;
    if (equal != 0) {
      const Index number = population(equal);
      if (number <= ties) {
        kept = v < limit ? none : v;
        ties -= number;
      } else {
        for (int l = 0; ties > 0; ++l) {
          if ((equal >> l & 1U) == 0) continue;
          kept[l] = v[l];
          --ties;
        }
      }
    }
    if (whole)
      store(values + i, kept);
    else
      store_first(values + i, kept, count - i);
  }
}
