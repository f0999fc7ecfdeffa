// SPDX-License-Identifier: MIT
// The logistic function, tanh, softcap and GELU of tiles of scores, by the vector exponential. The exponential needs
// rounding to nearest, so each function sets it. With `keeps_absent`, a score of -inf stays -inf.

// Replaces each x of a tile by the result of f(x), which changes x.
template <class F>
[[gnu::always_inline]] static inline void map_vectors(StridedRows<Scalar> tile, Index rows, Index count,
                                                      bool keeps_absent, const F& f) {
  const RoundToNearest rounding;
  const Vec kept = broadcast(keeps_absent ? -infinity : static_cast<Scalar>(__builtin_nan("")));  // NaN equals nothing
  for (Index r = 0; r < rows; ++r) {
    Scalar* values = tile.data + r * tile.stride;
    Index i = 0;
    for (; i + lanes <= count; i += lanes) {
      const Vec x = load(values + i);
      Vec y = x;
      f(y);
      store(values + i, x == kept ? x : y);
    }
    if (i == count) continue;
    const Vec x = load_first(values + i, count - i);
    Vec y = x;
    f(y);
    store_first(values + i, x == kept ? x : y, count - i);
  }
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

static void sigmoid_tile(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent) {
  map_vectors(tile, rows, count, keeps_absent, [](Vec& x) { x = sigmoid(x); });
}
static void tanh_tile(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent) {
  map_vectors(tile, rows, count, keeps_absent, [](Vec& x) { x = tanh(x); });
}
static void gelu_tile(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent) {
  map_vectors(tile, rows, count, keeps_absent, [](Vec& x) { x = gelu(x); });
}
static void gelu_tanh_tile(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent) {
  map_vectors(tile, rows, count, keeps_absent, [](Vec& x) { x = gelu_tanh(x); });
}

// The polynomials in u^2 that approximate tanh(u) / u for |u| <= 1/2 with the least maximal relative error: 1.5e-8 and
// 2.8e-18, an eighth and an eightieth of the spacing of numbers near 1. The highest power is first.
static constexpr double single_tanh_terms[] = {0.017241492035510091041, -0.05304549453445044533, 0.13325878961403129733,
                                               -0.33333143896442078422, 1};
static constexpr double double_tanh_terms[] = {0.000056804782674910132029,
                                               -0.00021783618249404045685,
                                               0.00058330328665786875543,
                                               -0.001454489713078345009,
                                               0.0035919539309945864889,
                                               -0.0088632210308412154149,
                                               0.021869487786483931669,
                                               -0.053968253945924396817,
                                               0.13333333333300338017,
                                               -0.33333333333333164249,
                                               1};

// cap * tanh(x / cap). With u = x / cap, it is x times a polynomial in u^2 where |u| <= 1/2, which takes less than half
// of the time. Each x decides for itself, so its value does not depend on the others.
struct Softcap {
  Scalar cap, inverse, largest_square, kept;

  explicit Softcap(Scalar c, bool keeps_absent)
      : cap(c),
        inverse(1 / c),
        // The inverse of an extreme cap would be inexact, as a denormal number, or infinite.
        largest_square(c > Scalar(0x1p-100) && c < Scalar(0x1p100) ? Scalar(0.25) : Scalar(-1)),
        kept(keeps_absent ? -infinity : static_cast<Scalar>(__builtin_nan(""))) {}
  // The polynomial's result; `square` is u^2.
  [[gnu::always_inline]] Vec near_zero(const Vec& x, Vec& square) const {
    const Vec u = x * broadcast(inverse);
    square = u * u;
    if constexpr (single)
      return x * polynomial(single_tanh_terms, square);
    else
      return x * polynomial(double_tanh_terms, square);
  }
  // The result of any x.
  [[gnu::always_inline]] Vec any(const Vec& x) const {
    Vec square;
    const Vec y = near_zero(x, square);
    const Vec u = largest_square > 0 ? x * broadcast(inverse) : x / broadcast(cap);
    const Vec all = square <= broadcast(largest_square) ? y : broadcast(cap) * tanh(u);
    return x == broadcast(kept) ? x : all;
  }
};
// The results of `count` vectors.
[[gnu::noinline]] static void softcap_any(Scalar* values, Index count, Softcap softcap) {
  for (Index i = 0; i < count; ++i, values += lanes) store(values, softcap.any(load(values)));
}
template <int vectors>
[[gnu::always_inline]] static inline void softcap_vectors(Scalar* values, const Softcap& softcap) {
  Vec y[vectors], total{};
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) {
    Vec square;
    y[c] = softcap.near_zero(load(values + c * lanes), square);
    total += square;
  }
  if (__builtin_expect(above(total, broadcast(softcap.largest_square)) != 0, 0))  // some u^2 may be larger, or NaN
    return softcap_any(values, vectors, softcap);
  FILIGREE_UNROLL
  for (int c = 0; c < vectors; ++c) store(values + c * lanes, y[c]);
}
static void softcap_tile(StridedRows<Scalar> tile, Index rows, Index count, Scalar cap, bool keeps_absent) {
  const RoundToNearest rounding;
  const Softcap softcap(cap, keeps_absent);
  for (Index r = 0; r < rows; ++r) {
    Scalar* values = tile.data + r * tile.stride;
    Index i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes) softcap_vectors<4>(values + i, softcap);
    for (; i + lanes <= count; i += lanes) softcap_vectors<1>(values + i, softcap);
    if (i < count) store_first(values + i, softcap.any(load_first(values + i, count - i)), count - i);
  }
}
