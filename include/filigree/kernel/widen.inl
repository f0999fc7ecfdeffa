// SPDX-License-Identifier: MIT
// Converts 16-bit floating-point numbers to Scalar. Float represents all of these numbers, so nothing is rounded.

typedef Lane<std::uint16_t> Halves __attribute__((vector_size(2 * lanes)));
typedef Lane<std::int32_t> Words __attribute__((vector_size(4 * lanes)));
typedef Lane<float> Singles __attribute__((vector_size(4 * lanes)));

// bfloat16: the upper half of a float.
[[gnu::always_inline]] static inline Words bfloat_bits(const Words& h) { return h << 16; }

// IEEE binary16: 5 bits of exponent with bias 15 (float: 127) and 10 bits of fraction.
[[gnu::always_inline]] static inline Words half_bits(const Words& h) {
  const Words size = (h & 0x7fff) << 13;
  // Numbers below 2^-14 have no leading 1: it is added and then subtracted. No number here is subnormal as a float, so
  // the result is correct if the processor flushes subnormals to 0.
  // The sign is cleared because the difference 0 is -0 when the processor rounds downward.
  const Words tiny = (Words)((Singles)(size + (113 << 23)) - 0x1p-14F) & 0x7fffffff;
  const Words normal = size + (112 << 23), infinite_or_nan = size + (224 << 23);
  const Words large = size < (31 << 23) ? normal : infinite_or_nan;
  return (size < (1 << 23) ? tiny : large) | (h & 0x8000) << 16;
}

template <bool brain>
[[gnu::always_inline]] static inline Vec widened(const Halves& h) {
  const Words words = __builtin_convertvector(h, Words);
  if constexpr (brain)
    return __builtin_convertvector((Singles)bfloat_bits(words), Vec);
  else
    return __builtin_convertvector((Singles)half_bits(words), Vec);
}

template <bool brain>
[[gnu::always_inline]] static inline void widen(const void* from, Index count, Scalar* out) {
  const char* next = static_cast<const char*>(from);
  Halves h{};
  for (; count >= lanes; count -= lanes, next += sizeof h, out += lanes) {
    __builtin_memcpy(&h, next, sizeof h);
    store(out, widened<brain>(h));
  }
  if (count <= 0) return;
  __builtin_memcpy(&h, next, static_cast<std::size_t>(count) * 2);
  const Vec last = widened<brain>(h);
  __builtin_memcpy(out, &last, static_cast<std::size_t>(count) * sizeof(Scalar));
}

static void widen_half(const void* from /*[count]*/, Index count, Scalar* out) { widen<false>(from, count, out); }
static void widen_bfloat(const void* from /*[count]*/, Index count, Scalar* out) { widen<true>(from, count, out); }
