// SPDX-License-Identifier: MIT
// exp on vectors, for arguments <= 0, and the softmax built on it.

// exp(x) for x <= 0, within 2 ulp; exactly 0 below the smallest normal number (denormals are many times slower and far
// below the error bound of any sum that holds the maximum's exp(0) = 1); NaN for NaN.
// x = n ln 2 + r with |r| <= ln(2)/2, exp(x) = 2^n exp(r); ln 2 in two parts keeps r exact.
[[gnu::always_inline]] inline Vec exponential(const Vec& x) {
  constexpr bool single = sizeof(Real) == 4;
  constexpr Real magic =
      single ? Real(12582912.0) : Real(6755399441055744.0);  // 1.5 * 2^23, 1.5 * 2^52: rounds to integer
  constexpr Real log2e = Real(1.4426950408889634074);
  constexpr Real ln2_high = single ? Real(0.693359375) : Real(6.93145751953125e-1);
  constexpr Real ln2_low = single ? Real(-2.12194440e-4) : Real(1.42860682030941723212e-6);
  constexpr int mantissa = single ? 23 : 52;
  constexpr Real least = single ? Real(-87.33654) : Real(-708.3964185322641);
  const Vec clamped = x < broadcast(least) ? broadcast(least) : x;
  const Vec shifted = clamped * broadcast(log2e) + broadcast(magic);
  const Vec n = shifted - broadcast(magic);
  Vec r = clamped - n * broadcast(ln2_high);
  r = r - n * broadcast(ln2_low);
  // Taylor coefficients of exp(r): the first term left out is below an eighth of an ulp.
  constexpr int terms = single ? 8 : 14;
  constexpr double inverse_factorial[] = {
      1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
      1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
  Vec p = broadcast(static_cast<Real>(inverse_factorial[terms - 1]));
  FILIGREE_UNROLL
  for (int i = terms - 2; i >= 0; --i) p = p * r + broadcast(static_cast<Real>(inverse_factorial[i]));
  const Mask exponent = ((Mask)shifted - (Mask)broadcast(magic)) << mantissa;
  const Vec result = (Vec)((Mask)p + exponent);
  return x < broadcast(least) ? Vec{} : result;
}

// w[i] = exp(w[i] - maximum) / (sum + exp(sink - maximum)); NaN anywhere makes every w NaN. The sum runs over lanes of
// the list, then over the lanes in order. `w` is readable and writable up to a multiple of lanes. sink = -inf: none.
inline SoftmaxSums<Real> softmax(Real* w, Index count, Real sink) {
  const Index padded = (count + lanes - 1) / lanes * lanes;
  for (Index i = count; i < padded; ++i) w[i] = -infinity;
  Vec high = broadcast(sink);
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(w + i);
    high = v > high ? v : high;  // NaN never wins; it comes back through the sum
  }
  const Real maximum = largest(high);
  const Vec top = broadcast(maximum);
  Vec partial{};
  for (Index i = 0; i < padded; i += lanes) {
    const Vec v = load(w + i);
    const Vec e = v == broadcast(-infinity) ? Vec{} : exponential(v - top);
    store(w + i, e);
    partial = partial + e;
  }
  Real total = sum(partial);
  if (sink > -infinity) {
    const Vec e = exponential(broadcast(sink - maximum));
    total += e[0];
  }
  const Vec denominator = broadcast(total);
  for (Index i = 0; i < padded; i += lanes) store(w + i, load(w + i) / denominator);
  return {maximum, total};
}
