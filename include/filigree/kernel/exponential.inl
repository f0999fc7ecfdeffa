// SPDX-License-Identifier: MIT
// exp on vectors, for arguments <= 0, and the softmax built on it.

// The polynomials with p(0) = 1 and the least maximal relative error: 2.6e-9 and 1.8e-17, at most an eighth of an ulp.
static constexpr float single_terms[] = {1.0f,           1.0000000496f,  0.50000004344f, 0.166663654413f,
                                         0.04166477729f, 0.00837901116f, 0.00140612409f};
static constexpr double double_terms[] = {1.0,
                                          1.0000000000000005588,
                                          0.50000000000000055725,
                                          0.16666666666657302374,
                                          0.04166666666657363583,
                                          0.0083333333377154602736,
                                          0.0013888888932340796724,
                                          0.00019841261491392798694,
                                          0.000024801504511037080072,
                                          2.7564254929439037522e-6,
                                          2.7626296554217169468e-7,
                                          2.298131153883436429e-8};
[[gnu::always_inline]] static constexpr Scalar term(int i) {
  if constexpr (single)
    return single_terms[i];
  else
    return double_terms[i];
}

// Returns exp(x) for x <= 0, within 2 ulp; NaN for NaN; exactly 0 where exp(x) is below the smallest normal number.
// Denormals are many times slower, and far below the error bound of any sum that contains the maximum's exp(0) = 1.
// x = n ln 2 + r with |r| <= ln(2)/2, and exp(x) = 2^n exp(r); ln 2 as a sum of two numbers keeps r exact. The bound on
// |r| requires rounding to nearest, which the caller sets.
[[gnu::always_inline]] static inline Vec exponential(const Vec& x) {
  constexpr Scalar magic =
      single ? Scalar(12582912.0) : Scalar(6755399441055744.0);  // 1.5 * 2^23, 1.5 * 2^52: rounds to integer
  constexpr Scalar log2e = Scalar(1.4426950408889634074);
  constexpr Scalar ln2_high = single ? Scalar(0.693359375) : Scalar(6.93145751953125e-1);
  constexpr Scalar ln2_low = single ? Scalar(-2.12194440e-4) : Scalar(1.42860682030941723212e-6);
  constexpr Scalar least = single ? Scalar(-87.33654) : Scalar(-708.3964185322641);
  const Vec shifted = multiply_add(x, broadcast(log2e), broadcast(magic));
  const Vec n = shifted - broadcast(magic);
  Vec r = multiply_add(n, broadcast(-ln2_high), x);
  r = multiply_add(n, broadcast(-ln2_low), r);
  constexpr int terms = single ? std::size(single_terms) : std::size(double_terms);
  Vec p = broadcast(term(terms - 1));
  FILIGREE_UNROLL
  for (int i = terms - 2; i >= 0; --i) p = multiply_add(p, r, broadcast(term(i)));
  return times_power_of_two(p, n, shifted, x, broadcast(least));
}

// Replaces each w[i] by exp(w[i] - maximum) / (sum + exp(sink - maximum)), except -inf, which stays: a sum of no
// entries. If any w is NaN or +inf, every w above -inf becomes NaN. Each lane is summed over the array, then the lanes
// are summed. The sum is at least 1, and its inverse is multiplied by. `w` is readable and writable up to a multiple of
// lanes. A sink of -inf means no sink.
static LogSumExp<Scalar> softmax(Scalar* w, Index count, Scalar sink) {
  const RoundToNearest rounding;
  const Index padded = ceil_div(count, lanes) * lanes;
  for (Index i = count; i < padded; ++i) w[i] = -infinity;
  const Vec gap = broadcast(-infinity);
  Vec high[chains];
  FILIGREE_UNROLL
  for (int c = 0; c < chains; ++c) high[c] = broadcast(sink);
  sweep(w, padded, [&](int c, const Vec& v) { high[c] = v > high[c] ? v : high[c]; });  // ignores NaN; the sum does not
  FILIGREE_UNROLL
  for (int c = 1; c < chains; ++c) high[0] = high[c] > high[0] ? high[c] : high[0];
  const Scalar maximum = largest(high[0]);
  const Vec top = broadcast(maximum);
  Vec partial{};
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(w + i), e = exponential(v - top);
    partial = partial + (v == gap ? Vec{} : e);
    store(w + i, v == gap ? gap : e);
  }
  Scalar total = sum(partial);
  if (sink > -infinity) {
    const Vec e = exponential(broadcast(sink - maximum));
    total += e[0];
  }
  const Vec inverse = broadcast(1 / total);
  for (Index i = 0; i < padded; i += lanes) {
    const Vec e = load(w + i);
    store(w + i, e == gap ? gap : e * inverse);
  }
  return {maximum, total};
}
