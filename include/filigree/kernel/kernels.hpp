// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "filigree/core/float_environment.hpp"
#include "filigree/kernel/instruction_set.hpp"
#include "filigree/kernel/types.hpp"

// The namespace of the kernels depends on the -m flags, so that the linker cannot merge kernels from translation units
// with different flags. The compiled library uses one name for all flags.
#if defined(FILIGREE_COMPILED) || defined(FILIGREE_COMPILED_SOURCE)
#define FILIGREE_FLAGS compiled
#elif defined(__AVX512F__)
#define FILIGREE_FLAGS flags_avx512
#elif defined(__AVX2__)
#define FILIGREE_FLAGS flags_avx2
#elif defined(__AVX__)
#define FILIGREE_FLAGS flags_avx
#elif defined(__ARM_FEATURE_SVE)
#define FILIGREE_FLAGS flags_sve
#else
#define FILIGREE_FLAGS flags_baseline
#endif

#if defined(__clang__)
#define FILIGREE_UNROLL _Pragma("unroll")
#define FILIGREE_UNROLL_TWICE _Pragma("unroll 2")
#define FILIGREE_UNROLL_24 _Pragma("unroll")
#define FILIGREE_TARGET_BEGIN(set) \
  FILIGREE_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define FILIGREE_TARGET_END _Pragma("clang attribute pop")
#else
#define FILIGREE_UNROLL _Pragma("GCC unroll 16")
#define FILIGREE_UNROLL_TWICE _Pragma("GCC unroll 2")
#define FILIGREE_UNROLL_24 _Pragma("GCC unroll 24")
#define FILIGREE_TARGET_BEGIN(set) _Pragma("GCC push_options") FILIGREE_PRAGMA(GCC target(set))
#define FILIGREE_TARGET_END _Pragma("GCC pop_options")
#endif
#define FILIGREE_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FILIGREE_HAS_ELEMENTWISE_FMA __has_builtin(__builtin_elementwise_fma)
#define FILIGREE_HAS_ELEMENTWISE_SQRT __has_builtin(__builtin_elementwise_sqrt)
#else
#define FILIGREE_HAS_ELEMENTWISE_FMA 0
#define FILIGREE_HAS_ELEMENTWISE_SQRT 0
#endif

// Disables compiler options that reorder sums or replace division by multiplication. The error bounds of the kernels
// depend on the order of operations. So does the guarantee that a row's result is independent of the other rows.
#if defined(__clang__) && defined(__x86_64__)
#pragma float_control(push)
#pragma float_control(precise, on)
#elif defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#if defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#pragma GCC optimize("no-associative-math", "no-reciprocal-math", "signed-zeros")
#endif
// The kernels are written with vectors and unrolled. These passes of g++ do not make them faster, and take a tenth of
// the time for compiling them.
#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize", "no-schedule-insns2", "no-ivopts", "no-tree-pre")
#pragma GCC optimize("no-gcse")
#define FILIGREE_POPS_OPTIONS
#endif

namespace filigree::kernel {
inline namespace FILIGREE_FLAGS {

using detail::RoundToNearest;

#if !defined(FILIGREE_COMPILED)
// The levels. Each has kernels of its own, compiled for its target. To add one, write the file with its members, and
// add its name to instruction_set.hpp, here, and to FILIGREE_ABOVE_BASELINE. The order of the includes matters.
//
// A standard library template that is instantiated inside a target region is compiled for that instruction set, and the
// linker may use that instance in the whole program. Kernel code therefore calls no standard library functions.
// clang-format off
// NOLINTBEGIN(readability-duplicate-include)
namespace baseline {
template <class Scalar>
struct Level {
  static constexpr LevelSizes sizes{.vector_bytes = 16, .vectors = 2, .queries = 4};
#include "filigree/kernel/vector.inl"
#include "filigree/kernel/lanes_baseline.inl"
#include "filigree/kernel/all.inl"
};
}  // namespace baseline

#if defined(__x86_64__)
FILIGREE_TARGET_BEGIN("avx2,fma,popcnt,bmi,lzcnt")
namespace avx2 {
template <class Scalar>
struct Level {
  static constexpr LevelSizes sizes{.vector_bytes = 32, .vectors = 2, .queries = 6};
#include "filigree/kernel/vector.inl"
#include "filigree/kernel/lanes_avx2.inl"
#include "filigree/kernel/all.inl"
};
}  // namespace avx2
FILIGREE_TARGET_END

FILIGREE_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,popcnt,bmi,lzcnt")
namespace avx512 {
template <class Scalar>
struct Level {
  static constexpr LevelSizes sizes{.vector_bytes = 64, .vectors = 4, .queries = 6};
#include "filigree/kernel/vector.inl"
#include "filigree/kernel/lanes_avx512.inl"
#include "filigree/kernel/all.inl"
};
}  // namespace avx512
FILIGREE_TARGET_END
#endif

#if defined(__AARCH64EL__)
namespace neon {
template <class Scalar>
struct Level {
  static constexpr LevelSizes sizes{.vector_bytes = 16, .vectors = 4, .queries = 6};
#include "filigree/kernel/vector.inl"
#include "filigree/kernel/lanes_neon.inl"
#include "filigree/kernel/all.inl"
};
}  // namespace neon
#endif
#endif
// NOLINTEND(readability-duplicate-include)

// The body of a kernel: the member of the chosen level. A program that links the compiled library gets declarations
// instead.
#define FILIGREE_AT_LEVEL(name, member) \
  case InstructionSet::name: return name::Level<Scalar>::member;
#if defined(__x86_64__)
#define FILIGREE_ABOVE_BASELINE(member) FILIGREE_AT_LEVEL(avx512, member) FILIGREE_AT_LEVEL(avx2, member)
#elif defined(__AARCH64EL__)
#define FILIGREE_ABOVE_BASELINE(member) FILIGREE_AT_LEVEL(neon, member)
#else
#define FILIGREE_ABOVE_BASELINE(member)
#endif
#if defined(FILIGREE_COMPILED)
#define FILIGREE_BY_LEVEL(member) ;
#else
#define FILIGREE_BY_LEVEL(member)                      \
  {                                                    \
    switch (instruction_set()) {                       \
      FILIGREE_ABOVE_BASELINE(member)                  \
      default: return baseline::Level<Scalar>::member; \
    }                                                  \
  }
#endif
// clang-format on

/// The kernels of the chosen instruction set for one scalar type, and the sizes of its tiles.
///
/// Shapes are documented in the .inl files. Each kernel is a static member of a template, so a program compiles only
/// the kernels that it calls.
template <class Scalar>
struct Kernels {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>);
  int lanes, width, height;

  Kernels()
      : lanes(sizes().vector_bytes / static_cast<int>(sizeof(Scalar))),
        width(lanes * sizes().vectors),
        height(sizes().queries) {}

  // clang-format off
  static LevelSizes sizes()
      FILIGREE_BY_LEVEL(sizes)
  /// Returns true if a multiply-add rounds once, and false if it rounds the product and the sum.
  static bool fused()
      FILIGREE_BY_LEVEL(fused)
  static void pack_panel(const Scalar* rows, Index stride, Index count, Index d, Scalar* out)
      FILIGREE_BY_LEVEL(pack_panel( rows, stride, count, d, out))
  static void gather_panel(const Scalar* rows, Index stride, const Column* columns, Index count, Index d, Scalar* out)
      FILIGREE_BY_LEVEL(gather_panel(rows, stride, columns, count, d, out))
  static void pack_group( const Scalar* rows, Index stride, Index d, Scalar* out)
      FILIGREE_BY_LEVEL(pack_group(rows, stride, d, out))
  static void widen_half(const void* from, Index count, Scalar* out)
      FILIGREE_BY_LEVEL(widen_half(from, count, out))
  static void widen_bfloat(const void* from, Index count, Scalar* out)
      FILIGREE_BY_LEVEL(widen_bfloat(from, count, out))
  static void narrow_half(const Scalar* from, Index count, std::uint16_t* out)
      FILIGREE_BY_LEVEL(narrow_half(from, count, out))
  static void narrow_bfloat(const Scalar* from, Index count, std::uint16_t* out)
      FILIGREE_BY_LEVEL(narrow_bfloat(from, count, out))
  static void score_panel(const Scalar* q, Index groups, const Scalar* k, Index d, Scalar scale, Scalar* out, Index stride)
      FILIGREE_BY_LEVEL(score_panel(q, groups, k, d, scale, out, stride))
  static void score_columns(const Scalar* q, const Scalar* k, Index d, Scalar scale, Scalar* out, Index stride, Index begin,
      Index end)
      FILIGREE_BY_LEVEL(score_columns(q, k, d, scale, out, stride, begin, end))
  static void score_run(const Scalar* q, const Scalar* panels, Index begin, Index end, Index d, Scalar scale, Scalar* out)
      FILIGREE_BY_LEVEL(score_run(q, panels, begin, end, d, scale, out))
  static void score_listed(const Scalar* q, const Scalar* const* keys, const Column* at, Index count, Index d, Scalar scale,
      Scalar* out, Index stride)
      FILIGREE_BY_LEVEL(score_listed(q, keys, at, count, d, scale, out, stride))
  static void keep_columns(Scalar* tile, Index stride, Index rows, Index first, Index last, const Column* begin,
      const Column* end)
      FILIGREE_BY_LEVEL(keep_columns(tile, stride, rows, first, last, begin, end))
  static void multiply_panel(StridedGroups<Scalar> a, Index groups, StridedRows<const Scalar> b, Index d,
      StridedRows<const Scalar> start, StridedRows<Scalar> out, Index count)
      FILIGREE_BY_LEVEL(multiply_panel(a, groups, b, d, start, out, count))
  static void append_panel(const Scalar* q, Index groups, const Scalar* k, Index d, Scalar scale, Column first,
      Candidates<Scalar> rows)
      FILIGREE_BY_LEVEL(append_panel(q, groups, k, d, scale, first, rows))
  static void append_scores(const Scalar* scores, Index stride, Index count, Column first, Candidates<Scalar> rows)
      FILIGREE_BY_LEVEL(append_scores(scores, stride, count, first, rows))
  static void follow_maximum(Candidates<Scalar> rows, Index count, Scalar reach, Scalar* maximum, Column* seen)
      FILIGREE_BY_LEVEL(follow_maximum(rows, count, reach, maximum, seen))
  static Index list_above(Scalar* values, Column* columns, Index count, Scalar bound)
      FILIGREE_BY_LEVEL(list_above(values, columns, count, bound))
  static Index keep_above(Scalar* values, Column* columns, Index count, Scalar bound)
      FILIGREE_BY_LEVEL(keep_above(values, columns, count, bound))
  static Index keep_top_k_of(Scalar* values, Column* columns, Index count, Index k, Index slack, Scalar* bound)
      FILIGREE_BY_LEVEL(keep_top_k_of(values, columns, count, k, slack, bound))
  static void keep_top_k(Candidates<Scalar> rows, Index count, Index k, Index slack, Index limit)
      FILIGREE_BY_LEVEL(keep_top_k(rows, count, k, slack, limit))
  static void estimate_bounds(Candidates<Scalar> rows, Index count, Index limit, float expected)
      FILIGREE_BY_LEVEL(estimate_bounds(rows, count, limit, expected))
  static void move_top_k(Candidates<Scalar> rows, Index count, Index k, Candidates<Scalar> to)
      FILIGREE_BY_LEVEL(move_top_k(rows, count, k, to))
  static void list_top_k(const Scalar* tile, Index stride, Index count, Index m, Index k, Candidates<Scalar> to)
      FILIGREE_BY_LEVEL(list_top_k(tile, stride, count, m, k, to))
  static OrderStatistic<Scalar> kth_largest(Scalar* values, Index count, Index k)
      FILIGREE_BY_LEVEL(kth_largest(values, count, k))
  static void positions_of(const Scalar* values, Index count, Column* positions)
      FILIGREE_BY_LEVEL(positions_of(values, count, positions))
  static void divide(const Scalar* values, Index count, bool magnitude, Division<Scalar>& division)
      FILIGREE_BY_LEVEL(divide(values, count, magnitude, division))
  static Index count_equal(const Scalar* values, Index count, bool magnitude, Scalar x)
      FILIGREE_BY_LEVEL(count_equal(values, count, magnitude, x))
  static void keep_from_bound(Scalar* values, Index count, bool magnitude, Scalar bound, bool inclusive)
      FILIGREE_BY_LEVEL(keep_from_bound(values, count, magnitude, bound, inclusive))
  static Index list_from_bound(Scalar* values, Column* columns, Index count, bool magnitude, Scalar bound, bool inclusive)
      FILIGREE_BY_LEVEL(list_from_bound(values, columns, count, magnitude, bound, inclusive))
  static void bound_columns(const Scalar* data, Index stride, Index rows, Index columns, Index keep,
      BitsOf<Scalar>* memory, Scalar* bound, Column* last)
      FILIGREE_BY_LEVEL(bound_columns(data, stride, rows, columns, keep, memory, bound, last))
  static void keep_from_bounds(Scalar* values, Index count, const Scalar* bounds, const Column* last, Column row)
      FILIGREE_BY_LEVEL(keep_from_bounds(values, count, bounds, last, row))
  static void sigmoid(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent)
      FILIGREE_BY_LEVEL(sigmoid_tile(tile, rows, count, keeps_absent))
  static void tanh(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent)
      FILIGREE_BY_LEVEL(tanh_tile(tile, rows, count, keeps_absent))
  static void gelu(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent)
      FILIGREE_BY_LEVEL(gelu_tile(tile, rows, count, keeps_absent))
  static void gelu_tanh(StridedRows<Scalar> tile, Index rows, Index count, bool keeps_absent)
      FILIGREE_BY_LEVEL(gelu_tanh_tile(tile, rows, count, keeps_absent))
  static void softcap(StridedRows<Scalar> tile, Index rows, Index count, Scalar cap, bool keeps_absent)
      FILIGREE_BY_LEVEL(softcap_tile(tile, rows, count, cap, keeps_absent))
  static void add_matrix(StridedRows<Scalar> tile, Index rows, Index count, StridedRows<const Scalar> b, Index step)
      FILIGREE_BY_LEVEL(add_matrix(tile, rows, count, b, step))
  static void add_diagonals(StridedRows<Scalar> tile, Index rows, Index count, const Scalar* table, Index step, Index size,
      Index first)
      FILIGREE_BY_LEVEL(add_diagonals(tile, rows, count, table, step, size, first))
  static void subtract_distances(StridedRows<Scalar> tile, Index rows, Index count, Scalar slope, Index first)
      FILIGREE_BY_LEVEL(subtract_distances(tile, rows, count, slope, first))
  static bool any_absent(StridedRows<const Scalar> tile, Index rows, Index count)
      FILIGREE_BY_LEVEL(any_absent(tile, rows, count))
  static void select_above(const Scalar* from, Scalar* to, Index count, Scalar bound, Scalar absent)
      FILIGREE_BY_LEVEL(select_above(from, to, count, bound, absent))
  static void select_magnitudes(const Scalar* from, Scalar* to, Index count, Scalar bound, Scalar absent)
      FILIGREE_BY_LEVEL(select_magnitudes(from, to, count, bound, absent))
  static void shrink_magnitudes(const Scalar* from, Scalar* to, Index count, Scalar bound, Scalar absent)
      FILIGREE_BY_LEVEL(shrink_magnitudes(from, to, count, bound, absent))
  static void replace_absent(const Scalar* from, Scalar* to, Index count, Scalar absent)
      FILIGREE_BY_LEVEL(replace_absent(from, to, count, absent))
  static bool any_absent(const Scalar* values, Index count)
      FILIGREE_BY_LEVEL(any_absent(values, count))
  static void transpose(const Scalar* from, Index from_stride, Index rows, Index columns, Scalar* to, Index to_stride,
      Scalar absent)
      FILIGREE_BY_LEVEL(transpose(from, from_stride, rows, columns, to, to_stride, absent))
  static Index copy_above(const Scalar* from, Index count, Scalar bound, Scalar* values, Column* columns)
      FILIGREE_BY_LEVEL(copy_above(from, count, bound, values, columns))
  static Index count_in(const Scalar* from, Index count, Scalar bound)
      FILIGREE_BY_LEVEL(count_in(from, count, bound))
  static Index copy_top_k(const Scalar* from, Index count, Index k, Scalar* values, Column* columns)
      FILIGREE_BY_LEVEL(copy_top_k(from, count, k, values, columns))
  static LogSumExp<Scalar> softmax(Scalar* w, Index count, Scalar sink)
      FILIGREE_BY_LEVEL(softmax(w, count, sink))
  static bool all_finite(const Scalar* v, Index stride, Index count, Index dv)
      FILIGREE_BY_LEVEL(all_finite(v, stride, count, dv))
  static void attend_chunk(Scalar* tile, Index stride, const Segment* segments, Index count, const Scalar* v,
      Index v_stride, Index dv, Index present, const RandomRow* random, SoftmaxState<Scalar> to)
      FILIGREE_BY_LEVEL(attend_chunk(tile, stride, segments, count, v, v_stride, dv, present, random, to))
  static bool attend_narrow(const NarrowAttention<Scalar>& a)
      FILIGREE_BY_LEVEL(attend_narrow(a))
  static void attend_nonfinite(Scalar* tile, Index stride, const Segment* segments, Index count, const Scalar* v,
      Index v_stride, Index dv, Index present, const RandomRow* random, SoftmaxState<Scalar> to)
      FILIGREE_BY_LEVEL(attend_nonfinite(tile, stride, segments, count, v, v_stride, dv, present, random, to))
#include "filigree/kernel/decode_members.inl"
#include "filigree/kernel/stored_members.inl"
  static void softmax_backward(Scalar* s, Scalar* d, Index stride, Index rows, Index count, SoftmaxRows<Scalar> of,
      Scalar gain, Scalar scale, const RandomRow* random)
      FILIGREE_BY_LEVEL(softmax_backward(s, d, stride, rows, count, of, gain, scale, random))
  static void add_product(StridedRows<const Scalar> a, Index rows, Index depth, StridedRows<const Scalar> b, Index columns,
      StridedRows<Scalar> out)
      FILIGREE_BY_LEVEL(add_product(a, rows, depth, b, columns, out))
  static void merge(SoftmaxState<Scalar> whole, SoftmaxState<Scalar> part, Index count, Index dv)
      FILIGREE_BY_LEVEL(merge(whole, part, count, dv))
  static LogSumExp<Scalar> finish_row(SoftmaxState<Scalar> row, Index dv, Scalar sink, Scalar gain)
      FILIGREE_BY_LEVEL(finish_row(row, dv, sink, gain))
  static void gather(Scalar* out, const Scalar* weights, const Column* columns, Index count, const Scalar* v,
      Index stride, Index dv, bool add = false)
      FILIGREE_BY_LEVEL(gather(out, weights, columns, count, v, stride, dv, add))
  static void dots(Scalar* out, const Scalar* x, const Column* columns, Index count, const Scalar* v, Index stride, Index d)
      FILIGREE_BY_LEVEL(dots(out, x, columns, count, v, stride, d))
  static void drop(const Scalar* from, Scalar* to, Index count, RandomRow row, Scalar scale, Scalar absent)
      FILIGREE_BY_LEVEL(drop(from, to, count, row, scale, absent))
  static Index drop_listed(Scalar* values, Column* columns, Index count, RandomRow row, Scalar scale)
      FILIGREE_BY_LEVEL(drop_listed(values, columns, count, row, scale))
  static void prune_n_m(Scalar* values, Index count, Index n, Index m)
      FILIGREE_BY_LEVEL(prune_n_m(values, count, n, m))
  static void magnitude_ranks(const Scalar* values, Index count, BitsOf<Scalar>* ranks)
      FILIGREE_BY_LEVEL(magnitude_ranks(values, count, ranks))
  static Scalar largest_of(Scalar* values, Index count, bool* nan)
      FILIGREE_BY_LEVEL(largest_of(values, count, nan))
  static Index take_above(Scalar* values, Index count, Scalar bound, Scalar* to, Column* columns)
      FILIGREE_BY_LEVEL(take_above(values, count, bound, to, columns))
  static void differences(const Scalar* values, Index count, Scalar highest, double scale, double* z)
      FILIGREE_BY_LEVEL(differences(values, count, highest, scale, z))
  static void sparsemax_weights(Scalar* z, Index count)
      FILIGREE_BY_LEVEL(sparsemax_weights(z, count))
  static void entmax15_weights(Scalar* z, Index count)
      FILIGREE_BY_LEVEL(entmax15_weights(z, count))
  static double weights_of(const Scalar* values, Index count, Scalar highest, double* w)
      FILIGREE_BY_LEVEL(weights_of(values, count, highest, w))
  static Index narrow_sum(Scalar* w, Column* at, Index count, Scalar target, Scalar total, Index limit,
      SumBounds<Scalar>* bounds)
      FILIGREE_BY_LEVEL(narrow_sum(w, at, count, target, total, limit, bounds))
  static void cut(Scalar* values, Index count, Scalar bound, Index ties)
      FILIGREE_BY_LEVEL(cut(values, count, bound, ties))
  static double sum_present(const Scalar* values, Index count)
      FILIGREE_BY_LEVEL(sum_present(values, count))
  static void divide(Scalar* values, Index count, double divisor)
      FILIGREE_BY_LEVEL(divide(values, count, divisor))
  static void power_sums(const double* z, Index count, double power, double delta, double* sums)
      FILIGREE_BY_LEVEL(power_sums(z, count, power, delta, sums))
  static void power_weights(double* z, Index count, double power, double delta, double total)
      FILIGREE_BY_LEVEL(power_weights(z, count, power, delta, total))
  static double sum_squares(const Scalar* x, Index count)
      FILIGREE_BY_LEVEL(sum_squares(x, count))
  static ProductSums sum_products(const Scalar* x, const Scalar* y, Index count)
      FILIGREE_BY_LEVEL(sum_products(x, y, count))
  static Scalar magnitude_bound(const Scalar* x, Index count)
      FILIGREE_BY_LEVEL(magnitude_bound(x, count))
  static void subtract_multiple(Scalar* y, const Scalar* x, Scalar factor, Index count)
      FILIGREE_BY_LEVEL(subtract_multiple(y, x, factor, count))
  static void multiply_all(Scalar* y, const Scalar* x, Scalar factor, Index count)
      FILIGREE_BY_LEVEL(multiply_all(y, x, factor, count))
  static void scale_wide(Scalar* x, double factor, Index count)
      FILIGREE_BY_LEVEL(scale_wide(x, factor, count))
  static void sgd_step(Scalar* values, const Scalar* gradient, Scalar* moments, Index count, SgdStep<Scalar> step)
      FILIGREE_BY_LEVEL(sgd_step(values, gradient, moments, count, step))
  static void adam_step(Scalar* values, const Scalar* gradient, Scalar* means, Scalar* squares, Scalar* max_squares,
      Index count, const AdamStep<Scalar>& step)
      FILIGREE_BY_LEVEL(adam_step(values, gradient, means, squares, max_squares, count, step))
  static void proximal_step(Scalar* values, const Scalar* gradient, Index count, Scalar size, Scalar bound)
      FILIGREE_BY_LEVEL(proximal_step(values, gradient, count, size, bound))
  // clang-format on
};

#if defined(FILIGREE_COMPILED_SOURCE)
template struct Kernels<float>;
template struct Kernels<double>;
#endif

/// Returns the kernels of the chosen instruction set.
template <class Scalar>
const Kernels<Scalar>& kernels() {
  static const Kernels<Scalar> chosen;
  return chosen;
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
#undef FILIGREE_HAS_ELEMENTWISE_SQRT
#undef FILIGREE_UNROLL
#undef FILIGREE_UNROLL_TWICE
#undef FILIGREE_UNROLL_24
#undef FILIGREE_TARGET_BEGIN
#undef FILIGREE_TARGET_END
#undef FILIGREE_FLAGS
#undef FILIGREE_AT_LEVEL
#undef FILIGREE_ABOVE_BASELINE
#undef FILIGREE_BY_LEVEL
