// SPDX-License-Identifier: MIT
// AVX2 has no compression: a permutation looked up by the mask moves the chosen lanes to the front.

// a * b + c, rounded once whatever the compiler's level of optimisation.
[[gnu::always_inline]] inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
#if FILIGREE_BITS == 32
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return (Vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
}

[[gnu::always_inline]] inline unsigned above(const Vec& v, const Vec& t) {  // bit l: v[l] > t[l] or NaN
#if FILIGREE_BITS == 32
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, (__m256)t, _CMP_NLE_UQ)));
#else
  return static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd((__m256d)v, (__m256d)t, _CMP_NLE_UQ)));
#endif
}

[[gnu::always_inline]] inline int population(unsigned mask) { return __builtin_popcount(mask); }

// Writes the lanes of v and columns c whose bit is set side by side; a whole vector is stored.
[[gnu::always_inline]] inline int append(Real* values, Column* columns, const Vec& v, const Columns& c, unsigned mask) {
#if FILIGREE_BITS == 32
  const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)compress_order.eight[mask]));
  _mm256_storeu_ps(values, _mm256_permutevar8x32_ps((__m256)v, order));
  _mm256_storeu_si256((__m256i*)columns, _mm256_permutevar8x32_epi32((__m256i)c, order));
#else
  const __m256i pairs = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)compress_order.pairs[mask]));
  _mm256_storeu_pd(values, _mm256_castps_pd(_mm256_permutevar8x32_ps((__m256)v, pairs)));
  const __m128i order = _mm_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)compress_order.eight[mask]));
  _mm_storeu_ps((float*)columns, _mm_permutevar_ps(_mm_castsi128_ps((__m128i)c), order));
#endif
  return population(mask);
}
