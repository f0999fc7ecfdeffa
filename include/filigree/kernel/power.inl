// SPDX-License-Identifier: MIT
// Sums of powers for entmax. They are sums of double for every scalar.

// Returns log(1 + x) for -1 < x <= 0, within a few ulp. 1 + x = 2^e m with m in [sqrt(1/2), sqrt(2)), and log(m) =
// 2 artanh(s) = 2 s (1 + s^2/3 + s^4/5 + ...) with s = (m - 1) / (m + 1). The rounding error of 1 + x is added: it is
// small against the result, and its division by 1 + x changes nothing.
[[gnu::always_inline]] static inline Vec log_of_1_plus(const Vec& x) {
  constexpr std::uint64_t sqrt_half = 0x3FE6A09E667F3BCD, two_52 = 0x4330000000000000, bias = 2048;
  const Vec one = broadcast(1), y = one + x, rest = x - (y - one);
  const UnsignedMask e = ((UnsignedMask)y + ((bias << 52) - sqrt_half)) >> 52;  // biased
  const Vec m = (Vec)((UnsignedMask)y - (e << 52) + (bias << 52));
  const Vec exponent = (Vec)(e | two_52) - broadcast(0x1p52 + bias);
  const Vec s = (m - one) / (m + one), square = s * s, twice = s + s;
  Vec p = broadcast(Scalar(1) / 21);
  FILIGREE_UNROLL
  for (int i = 19; i >= 3; i -= 2) p = multiply_add(p, square, broadcast(Scalar(1) / static_cast<Scalar>(i)));
  const Vec logarithm = multiply_add(twice * square, p, twice) + rest;
  return multiply_add(exponent, broadcast(Scalar(0.69314718055994530942)), logarithm);
}

// Calls use(i, x, r) with x = z / (1 - delta) and r = (1 + x)^(power - 1), where x > -1, else 0, for the vectors of z,
// which has numbers of at most -1 after the list, up to a whole vector.
template <class Use>
[[gnu::always_inline]] static inline void for_powers(const Scalar* z, Index count, Scalar power, Scalar delta,
                                                     const Use& use) {
  const Vec factor = broadcast(1 / (1 - delta)), exponent = broadcast(power - 1), least = broadcast(-1);
  for (Index i = 0; i < count; i += lanes) {
    const Vec x = load(z + i) * factor;
    const Vec r = exponential(exponent * log_of_1_plus(x > least ? x : Vec{}));
    use(i, x, x > least ? r : Vec{});
  }
}

// sums[0] and sums[1] are the sums of (1 + x)^power and of (1 + x)^(power - 1), with x as above.
static void power_sums(const double* z, Index count, double power, double delta, double* sums) {
  if constexpr (single) {
    Level<double>::power_sums(z, count, power, delta, sums);
  } else {
    const RoundToNearest rounding;
    Vec first{}, second{};
    for_powers(z, count, power, delta, [&](Index, const Vec& x, const Vec& r) {
      first += r * (broadcast(1) + x);
      second += r;
    });
    sums[0] = sum(first);
    sums[1] = sum(second);
  }
}

// Replaces z by (1 + x)^power / total, and by x where the power underflows, which is negative.
static void power_weights(double* z, Index count, double power, double delta, double total) {
  if constexpr (single) {
    Level<double>::power_weights(z, count, power, delta, total);
  } else {
    const RoundToNearest rounding;
    for_powers(z, count, power, delta, [&](Index i, const Vec& x, const Vec& r) {
      const Vec weight = r * (broadcast(1) + x) / broadcast(total);
      store(z + i, weight > Vec{} ? weight : x > broadcast(-1) ? x : Vec{});
    });
  }
}
