// SPDX-License-Identifier: MIT
// Rounds floats to numbers of 16 bits, to nearest, ties to even. Numbers that are too large become infinite, NaN stays
// NaN. All operations are on integers, so results depend neither on the rounding mode nor on how the processor treats
// subnormal numbers.

typedef Lane<std::uint32_t> Unsigned __attribute__((vector_size(4 * lanes)));

// Returns 0 where a >= b, and all ones where a < b; a and b are below 2^31.
[[gnu::always_inline]] static inline Unsigned is_less(const Unsigned& a, const Unsigned& b) {
  return (Unsigned)((Words)a < (Words)b);
}

[[gnu::always_inline]] static inline Unsigned narrow_to_bfloat(const Unsigned& bits) {
  const Unsigned size = bits & 0x7fffffff, upper = bits >> 16;
  const Unsigned rounded = (size + 0x7fff + (upper & 1)) >> 16, nan = is_less(0x7f800000 - Unsigned{}, size);
  return ((nan & (upper | 0x40)) | (~nan & rounded) | (bits >> 16 & 0x8000)) & 0xffff;
}

[[gnu::always_inline]] static inline Unsigned narrow_to_half(const Unsigned& bits) {
  const Unsigned size = bits & 0x7fffffff;
  // Normal numbers: the bias of the exponent falls from 127 to 15. What rounds beyond the largest number is infinite.
  const Unsigned raised = (size + 0xfff + (size >> 13 & 1) - (112U << 23)) >> 13;
  const Unsigned large = is_less(0x477fefff - Unsigned{}, size);
  const Unsigned normal = (large & 0x7c00) | (~large & raised);
  // Subnormal numbers are multiples of 2^-24. The exponents of numbers that round to 0 are raised: their shift is 25.
  const Unsigned tiny = is_less(size, (113U << 23) - Unsigned{}), exponent = size >> 23;
  const Unsigned vanishes = is_less(exponent, 101 - Unsigned{});
  const Unsigned shift = (tiny & ((vanishes & 25) | (~vanishes & (126 - exponent)))) | (~tiny & 1);
  const Unsigned fraction = (size & 0x7fffff) | (~vanishes & 0x800000);
  const Unsigned quotient = fraction >> shift, rest = fraction - (quotient << shift);
  const Unsigned middle = (1 - Unsigned{}) << (shift - 1);
  const Unsigned up = is_less(middle, rest + (quotient & 1)) & 1;  // above the middle, or at it and odd
  const Unsigned subnormal = quotient + up, nan = is_less(0x7f800000 - Unsigned{}, size);
  const Unsigned finite = (tiny & subnormal) | (~tiny & normal);
  return (nan & (0x7e00 | (size >> 13 & 0x3ff))) | (~nan & finite) | (bits >> 16 & 0x8000);
}

template <bool brain>
[[gnu::always_inline]] static inline Halves narrowed(const Vec& x) {
  const Unsigned bits = (Unsigned) __builtin_convertvector(x, Singles);
  return __builtin_convertvector(brain ? narrow_to_bfloat(bits) : narrow_to_half(bits), Halves);
}

template <bool brain>
[[gnu::always_inline]] static inline void narrow(const Scalar* from, Index count, std::uint16_t* out) {
  for (; count >= lanes; count -= lanes, from += lanes, out += lanes) {
    const Halves h = narrowed<brain>(load(from));
    __builtin_memcpy(out, &h, sizeof h);
  }
  if (count <= 0) return;
  const Halves h = narrowed<brain>(load_first(from, count));
  __builtin_memcpy(out, &h, static_cast<std::size_t>(count) * 2);
}

static void narrow_half(const Scalar* from /*[count]*/, Index count, std::uint16_t* out) {
  narrow<false>(from, count, out);
}
static void narrow_bfloat(const Scalar* from /*[count]*/, Index count, std::uint16_t* out) {
  narrow<true>(from, count, out);
}
