// SPDX-License-Identifier: MIT
// AVX-512 forms of what vector extensions cannot say: a comparison as a bit mask, and compression under a mask.
// Only the zero-masking intrinsics are used: g++ 12's others start from an undefined register and warn.
// The register form of vpcompress with a full store takes 2 + 1 micro-operations; the form with a memory operand is
// slower.

// a * b + c, rounded once whatever the compiler's level of optimisation.
[[gnu::always_inline]] inline Vec multiply_add(const Vec& a, const Vec& b, const Vec& c) {
#if FILIGREE_BITS == 32
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
  return (Vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#endif
}

[[gnu::always_inline]] inline unsigned above(const Vec& v, const Vec& t) {  // bit l: v[l] > t[l] or NaN
#if FILIGREE_BITS == 32
  return _mm512_cmp_ps_mask((__m512)v, (__m512)t, _CMP_NLE_UQ);
#else
  return _mm512_cmp_pd_mask((__m512d)v, (__m512d)t, _CMP_NLE_UQ);
#endif
}

[[gnu::always_inline]] inline int population(unsigned mask) { return __builtin_popcount(mask); }

// Writes the lanes of v and columns c whose bit is set side by side; a whole vector is stored.
[[gnu::always_inline]] inline int append(Real* values, Column* columns, const Vec& v, const Columns& c, unsigned mask) {
#if FILIGREE_BITS == 32
  _mm512_storeu_ps(values, _mm512_maskz_compress_ps(static_cast<__mmask16>(mask), (__m512)v));
  _mm512_storeu_si512(columns, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), (__m512i)c));
#else
  _mm512_storeu_pd(values, _mm512_maskz_compress_pd(static_cast<__mmask8>(mask), (__m512d)v));
  _mm256_storeu_si256((__m256i*)columns, _mm256_maskz_compress_epi32(static_cast<__mmask8>(mask), (__m256i)c));
#endif
  return population(mask);
}
