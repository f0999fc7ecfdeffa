// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "filigree/core/float_environment.hpp"
#include "filigree/kernel/instruction_set.hpp"
#include "filigree/kernel/types.hpp"

// Translation units with other -m flags get kernels under other names, so that the linker cannot mix them up. The
// compiled library has one name for all flags.
#if defined(FILIGREE_COMPILED) || defined(FILIGREE_COMPILED_SOURCE)
#define FILIGREE_FLAGS compiled
#elif defined(__AVX512F__)
#define FILIGREE_FLAGS flags_avx512
#elif defined(__AVX2__)
#define FILIGREE_FLAGS flags_avx2
#elif defined(__AVX__)
#define FILIGREE_FLAGS flags_avx
#else
#define FILIGREE_FLAGS flags_baseline
#endif

#if defined(__clang__)
#define FILIGREE_UNROLL _Pragma("unroll")
#define FILIGREE_UNROLL_TWICE _Pragma("unroll 2")
#define FILIGREE_TARGET_BEGIN(set) \
  FILIGREE_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define FILIGREE_TARGET_END _Pragma("clang attribute pop")
#else
#define FILIGREE_UNROLL _Pragma("GCC unroll 16")
#define FILIGREE_UNROLL_TWICE _Pragma("GCC unroll 2")
#define FILIGREE_TARGET_BEGIN(set) _Pragma("GCC push_options") FILIGREE_PRAGMA(GCC target(set))
#define FILIGREE_TARGET_END _Pragma("GCC pop_options")
#endif
#define FILIGREE_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FILIGREE_HAS_ELEMENTWISE_FMA __has_builtin(__builtin_elementwise_fma)
#else
#define FILIGREE_HAS_ELEMENTWISE_FMA 0
#endif

// Options that let a compiler reorder sums, or divide by multiplying, do not hold for the kernels: their error bounds
// and the independence of a row from its neighbours rest on the order of operations.
#if defined(__clang__) && defined(__x86_64__)
#pragma float_control(push)
#pragma float_control(precise, on)
#elif defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#pragma GCC push_options
#pragma GCC optimize("no-associative-math", "no-reciprocal-math", "signed-zeros")
#define FILIGREE_POPS_OPTIONS
#endif

namespace filigree::kernel {
inline namespace FILIGREE_FLAGS {

using detail::RoundToNearest;

#if !defined(FILIGREE_COMPILED)
// The standard library's templates that are instantiated inside a region are compiled for its instruction set in the
// whole program. Kernel text therefore uses none of its functions.
#define FILIGREE_LEVEL 0
namespace baseline {
template <class Real>
struct Level {
  static constexpr LevelSizes sizes = baseline_sizes;
#include "filigree/kernel/all.inl"
};
}  // namespace baseline
#undef FILIGREE_LEVEL

#if defined(__x86_64__)
#define FILIGREE_LEVEL 2
FILIGREE_TARGET_BEGIN("avx2,fma,popcnt,bmi,lzcnt")
namespace avx2 {
template <class Real>
struct Level {
  static constexpr LevelSizes sizes = avx2_sizes;
#include "filigree/kernel/all.inl"
};
}  // namespace avx2
FILIGREE_TARGET_END
#undef FILIGREE_LEVEL

#define FILIGREE_LEVEL 512
FILIGREE_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,popcnt,bmi,lzcnt")
namespace avx512 {
template <class Real>
struct Level {
  static constexpr LevelSizes sizes = avx512_sizes;
#include "filigree/kernel/all.inl"
};
}  // namespace avx512
FILIGREE_TARGET_END
#undef FILIGREE_LEVEL
#endif
#endif

// The body of a kernel: the call of the same name for the chosen instruction set. A program that links the compiled
// library has declarations instead.
#if defined(FILIGREE_COMPILED)
#define FILIGREE_BY_LEVEL(call) ;
#elif defined(__x86_64__)
#define FILIGREE_BY_LEVEL(call)                                      \
  {                                                                  \
    switch (instruction_set()) {                                     \
      case InstructionSet::avx512: return avx512::Level<Real>::call; \
      case InstructionSet::avx2: return avx2::Level<Real>::call;     \
      default: return baseline::Level<Real>::call;                   \
    }                                                                \
  }
#else
#define FILIGREE_BY_LEVEL(call) \
  { return baseline::Level<Real>::call; }
#endif

/// The kernels of the chosen instruction set for one scalar, and the sizes of its tiles. Shapes stand in the .inl
/// files.
///
/// Each kernel is a static member of a template, so a program compiles those that it calls and no others.
template <class Real>
struct Kernels {
  static_assert(std::is_same_v<Real, float> || std::is_same_v<Real, double>);
  int lanes, width, height;

  constexpr explicit Kernels(const LevelSizes& sizes)
      : lanes(sizes.vector_bytes / static_cast<int>(sizeof(Real))),
        width(lanes * sizes.vectors),
        height(sizes.queries) {}

  // clang-format off
  static void pack_panel(const Real* rows, Index stride, Index count, Index d, Real* out)
      FILIGREE_BY_LEVEL(pack_panel( rows, stride, count, d, out))
  static void gather_panel(const Real* rows, Index stride, const Column* columns, Index count, Index d, Real* out)
      FILIGREE_BY_LEVEL(gather_panel(rows, stride, columns, count, d, out))
  static void pack_group( const Real* rows, Index stride, Index d, Real* out)
      FILIGREE_BY_LEVEL(pack_group(rows, stride, d, out))
  static void widen_half(const void* from, Index count, Real* out)
      FILIGREE_BY_LEVEL(widen_half(from, count, out))
  static void widen_bfloat(const void* from, Index count, Real* out)
      FILIGREE_BY_LEVEL(widen_bfloat(from, count, out))
  static void score_panel(const Real* q, Index groups, const Real* k, Index d, Real scale, Real* out, Index stride)
      FILIGREE_BY_LEVEL(score_panel(q, groups, k, d, scale, out, stride))
  static void score_part(const Real* q, const Real* k, Index d, Real scale, Real* out, Index stride, Index begin,
      Index end)
      FILIGREE_BY_LEVEL(score_part(q, k, d, scale, out, stride, begin, end))
  static void score_run(const Real* q, const Real* panels, Index begin, Index end, Index d, Real scale, Real* out)
      FILIGREE_BY_LEVEL(score_run(q, panels, begin, end, d, scale, out))
  static void multiply_panel(Groups<Real> a, Index groups, Strided<const Real> b, Index d,
      Strided<const Real> start, Strided<Real> out, Index count)
      FILIGREE_BY_LEVEL(multiply_panel(a, groups, b, d, start, out, count))
  static void append_panel(const Real* q, Index groups, const Real* k, Index d, Real scale, Column first,
      Candidates<Real> rows)
      FILIGREE_BY_LEVEL(append_panel(q, groups, k, d, scale, first, rows))
  static void append_scores(const Real* scores, Index stride, Index count, Column first, Candidates<Real> rows)
      FILIGREE_BY_LEVEL(append_scores(scores, stride, count, first, rows))
  static Index list_above(Real* values, Column* columns, Index count, Real bound)
      FILIGREE_BY_LEVEL(list_above(values, columns, count, bound))
  static Index keep_above(Real* values, Column* columns, Index count, Real bound)
      FILIGREE_BY_LEVEL(keep_above(values, columns, count, bound))
  static Index thin(Real* values, Column* columns, Index count, Index k, Index slack, Real* bound)
      FILIGREE_BY_LEVEL(thin(values, columns, count, k, slack, bound))
  static void thin_rows(Candidates<Real> rows, Index count, Index k, Index slack, Index limit)
      FILIGREE_BY_LEVEL(thin_rows(rows, count, k, slack, limit))
  static void guess_rows(Candidates<Real> rows, Index count, Index limit, float expected)
      FILIGREE_BY_LEVEL(guess_rows(rows, count, limit, expected))
  static void take_best(Candidates<Real> rows, Index count, Index k, Candidates<Real> to)
      FILIGREE_BY_LEVEL(take_best(rows, count, k, to))
  static void sigmoid(Real* values, Index count)
      FILIGREE_BY_LEVEL(sigmoid_all(values, count))
  static SoftmaxSums<Real> softmax(Real* w, Index count, Real sink)
      FILIGREE_BY_LEVEL(softmax(w, count, sink))
  static bool all_finite(const Real* v, Index stride, Index count, Index dv)
      FILIGREE_BY_LEVEL(all_finite(v, stride, count, dv))
  static void attend_chunk(Real* tile, Index stride, const Segment* segments, Index count, const Real* v,
      Index v_stride, Index dv, Index present, Sums<Real> to)
      FILIGREE_BY_LEVEL(attend_chunk(tile, stride, segments, count, v, v_stride, dv, present, to))
  static void attend_careful(Real* tile, Index stride, const Segment* segments, Index count, const Real* v,
      Index v_stride, Index dv, Index present, Sums<Real> to)
      FILIGREE_BY_LEVEL(attend_careful(tile, stride, segments, count, v, v_stride, dv, present, to))
  static void merge_sums(Sums<Real> whole, Sums<Real> part, Index count, Index dv)
      FILIGREE_BY_LEVEL(merge_sums(whole, part, count, dv))
  static SoftmaxSums<Real> finish_row(Sums<Real> row, Index dv, Real sink)
      FILIGREE_BY_LEVEL(finish_row(row, dv, sink))
  static void gather(Real* out, const Real* weights, const Column* columns, Index count, const Real* v,
      Index stride, Index dv)
      FILIGREE_BY_LEVEL(gather(out, weights, columns, count, v, stride, dv))
  static void dots(Real* out, const Real* x, const Column* columns, Index count, const Real* v, Index stride, Index d)
      FILIGREE_BY_LEVEL(dots(out, x, columns, count, v, stride, d))
  // clang-format on
};

#if defined(FILIGREE_COMPILED_SOURCE)
template struct Kernels<float>;
template struct Kernels<double>;
#endif

/// The kernels of the chosen instruction set.
template <class Real>
const Kernels<Real>& kernels() {
  static constexpr Kernels<Real> at_baseline(baseline_sizes), at_avx2(avx2_sizes), at_avx512(avx512_sizes);
  switch (instruction_set()) {
    case InstructionSet::avx512: return at_avx512;
    case InstructionSet::avx2: return at_avx2;
    default: return at_baseline;
  }
}

}  // namespace FILIGREE_FLAGS
}  // namespace filigree::kernel

#if defined(__clang__) && defined(__x86_64__)
#pragma float_control(pop)
#elif defined(FILIGREE_POPS_OPTIONS)
#pragma GCC pop_options
#undef FILIGREE_POPS_OPTIONS
#endif

#undef FILIGREE_PRAGMA
#undef FILIGREE_HAS_ELEMENTWISE_FMA
#undef FILIGREE_UNROLL
#undef FILIGREE_UNROLL_TWICE
#undef FILIGREE_TARGET_BEGIN
#undef FILIGREE_TARGET_END
#undef FILIGREE_FLAGS
#undef FILIGREE_BY_LEVEL
