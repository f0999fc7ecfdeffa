// SPDX-License-Identifier: MIT
// The thresholds of sparsemax and 1.5-entmax, without sorting. Only the scores close to the maximum of a row matter.

// Returns the largest value and sets `nan` if any is NaN. Writes -inf after the values, up to a whole vector.
static Scalar largest_of(Scalar* values, Index count, bool* nan) {
  const Index padded = ceil_div(count, lanes) * lanes;
  for (Index i = count; i < padded; ++i) values[i] = -infinity;
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
  *nan = found != 0;
  return largest(high[0]);
}

// Moves the values above a bound to a list and replaces all values by -inf, up to a whole vector. Returns the length of
// the list, whose memory has room for `count` entries and a vector.
static Index take_above(Scalar* values, Index count, Scalar bound, Scalar* to, Column* columns) {
  const Vec limit = broadcast(bound), none = broadcast(-infinity);
  Index out = 0;
  for (Index i = 0; i < count; i += lanes) {
    const Vec v = load(values + i);
    store(values + i, none);
    const unsigned valid = count - i < lanes ? (1U << (count - i)) - 1 : ~0U;
    out += append(to + out, columns + out, v, iota() + static_cast<Column>(i), above(v, limit) & valid);
  }
  return out;
}

static constexpr int double_lanes = sizes.vector_bytes / 8;
typedef Lane<double> DoubleVec __attribute__((vector_size(8 * double_lanes)));
typedef Scalar ScalarsOfDoubles __attribute__((vector_size(sizeof(Scalar) * double_lanes)));

// z[i] = scale * (values[i] - highest), in double. Reads and writes up to 16 entries, without values, after the list.
static void differences(const Scalar* values, Index count, Scalar highest, double scale, double* z) {
  const double top = static_cast<double>(highest);
  for (Index i = 0; i < count; i += double_lanes) {
    ScalarsOfDoubles v;
    __builtin_memcpy(&v, values + i, sizeof v);
    const DoubleVec difference = scale * (__builtin_convertvector(v, DoubleVec) - top);
    __builtin_memcpy(z + i, &difference, sizeof difference);
  }
}

// The numbers of a list that exceed t: how many, the sum of x, and the sum of x^2, with x = z - origin. Each of 16
// partial sums has every sixteenth number, for any length of vectors.
struct Excess {
  Scalar count, first, second;
};
static constexpr int partial_sums = 16;
[[gnu::always_inline]] static inline Scalar sum_of_partial(const Vec (&partial)[partial_sums / lanes]) {
  Scalar s[partial_sums];
  __builtin_memcpy(s, partial, sizeof s);
  FILIGREE_UNROLL
  for (int size = partial_sums / 2; size > 0; size /= 2) {
    FILIGREE_UNROLL
    for (int i = 0; i < size; ++i) s[i] += s[i + size];
  }
  return s[0];
}
[[gnu::always_inline]] static inline Excess excess(const Scalar* z, Index padded, Scalar t, Scalar origin) {
  constexpr int vectors = partial_sums / lanes;
  Vec count[vectors]{}, first[vectors]{}, second[vectors]{};
  const Vec limit = broadcast(t), zero = broadcast(origin);
  for (Index i = 0; i < padded; i += partial_sums) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c) {
      const Vec v = load(z + i + c * lanes), x = v > limit ? v - zero : Vec{};
      count[c] += v > limit ? broadcast(1) : Vec{};
      first[c] += x;
      second[c] += x * x;
    }
  }
  return {sum_of_partial(count), sum_of_partial(first), sum_of_partial(second)};
}

// Returns tau such that the sum of (z - tau)^power over z > tau is 1, for z in [-1, 0] with a maximum of 0; entries of
// -1 or less do not count. next(t, excess, exact) returns the solution for the numbers above t, which is tau if they
// are also the numbers above that solution; if it is not exact, it returns an approximation. Steps outside the known
// bounds of tau, and every other one if there are many, bisect instead.
template <class Evaluate, class Next>
[[gnu::always_inline]] static inline Scalar solve_simplex(const Evaluate& evaluate, const Next& next) {
  Scalar low = -1, high = 0, t = -1, solved = -1;  // t is the solution for `solved` numbers
  for (int step = 0; step < 200; ++step) {
    const Excess e = evaluate(t);
    bool exact = true;
    const Scalar solution = next(t, e, exact);
    if ((exact && e.count == solved) || solution == t) return solution;
    (solution > t ? low : high) = t;
    const Scalar middle = low + (high - low) / 2;
    const bool bisects = (step > 40 && step % 2 == 0) || !(solution > low && solution < high);
    if (bisects && !(middle > low && middle < high)) return t;
    t = bisects ? middle : solution;
    solved = exact && !bisects ? e.count : Scalar(-1);
  }
  return t;
}

[[gnu::always_inline]] static inline Index pad_simplex(Scalar* z, Index count) {
  const Index padded = ceil_div(count, partial_sums) * partial_sums;
  for (Index i = count; i < padded; ++i) z[i] = -2;
  return padded;
}

// Replaces differences from the maximum by the weights max(z - tau, 0) of sparsemax. At least one is 0. Writes up to
// 16 numbers after the list.
static void sparsemax_weights(Scalar* z, Index count) {
  const RoundToNearest rounding;
  const Index padded = pad_simplex(z, count);
  const Scalar tau = solve_simplex([&](Scalar t) { return excess(z, padded, t, 0); },
                                   [](Scalar, const Excess& e, bool&) { return (e.first - 1) / e.count; });
  for (Index i = 0; i < padded; i += lanes) {
    const Vec x = load(z + i) - broadcast(tau);
    store(z + i, x > Vec{} ? x : Vec{});
  }
}

// Replaces halves of differences from the maximum by the weights max(z - tau, 0)^2 of 1.5-entmax. At least one is 0.
// Writes up to 16 numbers after the list.
static void entmax15_weights(Scalar* z, Index count) {
  const RoundToNearest rounding;
  const Index padded = pad_simplex(z, count);
  const Scalar tau =
      solve_simplex([&](Scalar t) { return excess(z, padded, t, t); },
                    [](Scalar t, const Excess& e, bool& exact) {
                      // The root of second - 2 d first + count d^2 = 1. If there is none, a step of
                      // Newton's method for the root of the sum of squares, which does not pass tau.
                      const Scalar square = e.first * e.first - e.count * (e.second - 1);
                      exact = square > 0;
                      return exact ? t + (e.second - 1) / (e.first + static_cast<Scalar>(__builtin_sqrt(square)))
                                   : t + (e.second - static_cast<Scalar>(__builtin_sqrt(e.second))) / e.first;
                    });
  for (Index i = 0; i < padded; i += lanes) {
    const Vec x = load(z + i) - broadcast(tau);
    store(z + i, x > Vec{} ? x * x : Vec{});
  }
}
