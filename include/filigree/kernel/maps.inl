// SPDX-License-Identifier: MIT
// The logistic function, tanh, softcap and GELU of whole arrays, by the vector exponential. The exponential needs
// rounding to nearest, so each function sets it.

// Calls f(vector), which changes the vector, for all of values[0, count).
template <class F>
[[gnu::always_inline]] static inline void map_vectors(Scalar* values, Index count, const F& f) {
  const RoundToNearest rounding;
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    Vec x = load(values + i);
    f(x);
    store(values + i, x);
  }
  if (i == count) return;
  Vec x = load_first(values + i, count - i);
  f(x);
  store_first(values + i, x, count - i);
}

// 1 / (1 + exp(-x)), of exp(-|x|), which neither overflows nor loses small values.
[[gnu::always_inline]] static inline Vec sigmoid(const Vec& x) {
  const Vec e = exponential(x < Vec{} ? x : -x);
  return (x < Vec{} ? e : broadcast(1)) / (broadcast(1) + e);
}

// exp(x) - 1 for x <= 0, within 2 ulp, also near 0. With x = n ln 2 + r it is 2^n (exp(r) - 1) + (2^n - 1); the Taylor
// series of (exp(r) - 1) / r is exact to an eighth of an ulp for |r| <= ln(2) / 2.
[[gnu::always_inline]] static inline Vec exponential_minus_1(const Vec& x) {
  constexpr Scalar magic = single ? Scalar(12582912.0) : Scalar(6755399441055744.0);  // 1.5 * 2^23, 1.5 * 2^52
  constexpr Scalar ln2_high = single ? Scalar(0.693359375) : Scalar(6.93145751953125e-1);
  constexpr Scalar ln2_low = single ? Scalar(-2.12194440e-4) : Scalar(1.42860682030941723212e-6);
  constexpr Scalar least = single ? Scalar(-20) : Scalar(-40);  // exp(least) - 1 rounds to -1
  const Vec y = x < broadcast(least) ? broadcast(least) : x;
  const Vec shifted = multiply_add(y, broadcast(Scalar(1.4426950408889634074)), broadcast(magic));
  const Vec n = shifted - broadcast(magic);
  Vec r = multiply_add(n, broadcast(-ln2_high), y);
  r = multiply_add(n, broadcast(-ln2_low), r);
  constexpr int terms = single ? 8 : 13;
  Scalar factor = 1;  // 1 / (i + 1)!
  for (int i = 2; i <= terms; ++i) factor /= static_cast<Scalar>(i);
  Vec p = broadcast(factor);
  FILIGREE_UNROLL
  for (int i = terms - 1; i > 0; --i) {
    factor *= static_cast<Scalar>(i + 1);
    p = multiply_add(p, r, broadcast(factor));
  }
  const Vec power = times_power_of_two(broadcast(1), n, shifted, y, broadcast(least));
  return multiply_add(power, p * r, power - broadcast(1));
}

[[gnu::always_inline]] static inline Vec absolute(const Vec& x) { return (Vec)((Mask)x & ~(Mask{} + sign_bit)); }
[[gnu::always_inline]] static inline Vec with_sign_of(const Vec& size, const Vec& x) {
  return (Vec)((Mask)absolute(size) | ((Mask)x & (Mask{} + sign_bit)));
}

// tanh(x) = (1 - exp(-2 |x|)) / (1 + exp(-2 |x|)), with the sign of x.
[[gnu::always_inline]] static inline Vec tanh(const Vec& x) {
  const Vec e = exponential_minus_1(broadcast(-2) * absolute(x));
  return with_sign_of(e / (broadcast(2) + e), x);
}

// The complementary error function is rational in each of three ranges of z >= 0, times exp(-z^2) beyond the first.
// Reference: Cody, Mathematics of Computation 23 (1969), 631-637, and SPECFUN's CALERF.
static constexpr double erf_p[] = {1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
                                   3.77485237685302021e2, 3.20937758913846947e3};
static constexpr double erf_q[] = {1, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
                                   2.84423683343917062e3};
static constexpr double erfc_p[] = {2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
                                    6.61191906371416295e1,  2.98635138197400131e2,  8.81952221241769090e2,
                                    1.71204761263407058e3,  2.05107837782607147e3,  1.23033935479799725e3};
static constexpr double erfc_q[] = {1,
                                    1.57449261107098347e1,
                                    1.17693950891312499e2,
                                    5.37181101862009858e2,
                                    1.62138957456669019e3,
                                    3.29079923573345963e3,
                                    4.36261909014324716e3,
                                    3.43936767414372164e3,
                                    1.23033935480374942e3};
static constexpr double tail_p[] = {1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
                                    1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4};
static constexpr double tail_q[] = {1,
                                    2.56852019228982242,
                                    1.87295284992346725,
                                    5.27905102951428412e-1,
                                    6.05183413124413191e-2,
                                    2.33520497626869185e-3};
// The polynomial with these coefficients, the highest power first.
template <int count>
[[gnu::always_inline]] static inline Vec polynomial(const double (&c)[count], const Vec& x) {
  Vec p = broadcast(static_cast<Scalar>(c[0]));
  FILIGREE_UNROLL
  for (int i = 1; i < count; ++i) p = multiply_add(p, x, broadcast(static_cast<Scalar>(c[i])));
  return p;
}

// GELU: x times the probability that a standard normal variable is below x, erfc(-x / sqrt(2)) / 2.
[[gnu::always_inline]] static inline Vec gelu(const Vec& x) {
  const Vec a = absolute(x), z = a * broadcast(Scalar(0.70710678118654752440));
  // exp(-a^2 / 2) from a = h + (a - h), where h has so few bits that its square is exact.
  constexpr Scalar magic = single ? Scalar(12582912.0 / 16) : Scalar(6755399441055744.0 / 16);  // rounds to sixteenths
  constexpr Scalar largest_a = single ? Scalar(14) : Scalar(39);  // exp(-a^2 / 2) is 0 there
  const Vec limited = a < broadcast(largest_a) ? a : broadcast(largest_a);
  const Vec h = (limited - broadcast(Scalar(0.03125)) + broadcast(magic)) - broadcast(magic);
  const Vec e = exponential(broadcast(Scalar(-0.5)) * h * h) *
                exponential(broadcast(Scalar(-0.5)) * (limited - h) * (limited + h));
  const Vec square = z * z, inverse = broadcast(1) / (z < broadcast(4) ? broadcast(4) * broadcast(4) : square);
  const Vec erf = z * polynomial(erf_p, square) / polynomial(erf_q, square);
  const Vec middle = e * polynomial(erfc_p, z) / polynomial(erfc_q, z);
  const Vec tail =
      e / z *
      (broadcast(Scalar(0.56418958354775628695)) - inverse * polynomial(tail_p, inverse) / polynomial(tail_q, inverse));
  const Vec outer = broadcast(Scalar(0.5)) * (z < broadcast(4) ? middle : tail);
  const Vec below = z < broadcast(Scalar(0.46875))
                        ? broadcast(Scalar(0.5)) + broadcast(Scalar(0.5)) * with_sign_of(erf, x)
                    : x < Vec{} ? outer
                                : broadcast(1) - outer;
  return x * (x == x ? below : x);
}

// x times the logistic function of 2 sqrt(2 / pi) (x + 0.044715 x^3).
[[gnu::always_inline]] static inline Vec gelu_tanh(const Vec& x) {
  const Vec cubic = multiply_add(broadcast(Scalar(0.044715)) * x, x * x, x);
  return x * sigmoid(broadcast(Scalar(1.59576912160573071176)) * cubic);
}

static void sigmoid_all(Scalar* values, Index count) {
  map_vectors(values, count, [](Vec& x) { x = sigmoid(x); });
}
static void tanh_all(Scalar* values, Index count) {
  map_vectors(values, count, [](Vec& x) { x = tanh(x); });
}
static void softcap_all(Scalar* values, Index count, Scalar cap) {
  map_vectors(values, count, [&](Vec& x) { x = broadcast(cap) * tanh(x / broadcast(cap)); });
}
static void gelu_all(Scalar* values, Index count) {
  map_vectors(values, count, [](Vec& x) { x = gelu(x); });
}
static void gelu_tanh_all(Scalar* values, Index count) {
  map_vectors(values, count, [](Vec& x) { x = gelu_tanh(x); });
}
