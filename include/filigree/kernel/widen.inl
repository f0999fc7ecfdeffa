// SPDX-License-Identifier: MIT
// Converts 16-bit floating-point numbers to Scalar. Float represents all of these numbers, so nothing is rounded.

template <bool brain>
[[gnu::always_inline]] static inline Vec widened(const Halves& h) {
  if constexpr (brain)  // the upper half of a float
    return __builtin_convertvector((Singles)(__builtin_convertvector(h, Words) << 16), Vec);
  else
    return __builtin_convertvector(half_to_single(h), Vec);
}

// Loads a vector of numbers that are stored in 16 bits.
[[gnu::always_inline]] static inline Vec load(const Half* p) {
  Halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return widened<false>(h);
}
[[gnu::always_inline]] static inline Vec load(const Bfloat* p) {
  Halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return widened<true>(h);
}

// Calls f with a pointer to the numbers, whose type says how they are stored.
template <class F>
[[gnu::always_inline]] static inline void with_stored(const StoredNumbers<Scalar>& numbers, const F& f) {
  if (numbers.storage == Storage::half)
    f(reinterpret_cast<const Half*>(numbers.data));
  else
    f(reinterpret_cast<const Bfloat*>(numbers.data));
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
