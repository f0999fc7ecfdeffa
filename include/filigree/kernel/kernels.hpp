// SPDX-License-Identifier: MIT
#pragma once

// Every standard and Eigen header comes before the first region below: a function template of theirs that was first
// instantiated inside one would be compiled for that instruction set for the whole program.
#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

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

namespace filigree::kernel {
inline namespace FILIGREE_FLAGS {

/// The kernels of one instruction set for one scalar. Shapes stand in the .inl files.
template <class Real>
struct Kernels {
  int lanes, width, height;
  void (*pack_panel)(const Real* rows, Index stride, Index count, Index d, Real* out);
  void (*gather_panel)(const Real* rows, Index stride, const Column* columns, Index count, Index d, Real* out);
  void (*pack_group)(const Real* rows, Index stride, Index d, Real* out);
  void (*widen_half)(const void* from, Index count, Real* out);
  void (*widen_bfloat)(const void* from, Index count, Real* out);
  void (*score_panel)(const Real* q, Index groups, const Real* k, Index d, Real scale, Real* out, Index stride);
  void (*score_part)(const Real* q, const Real* k, Index d, Real scale, Real* out, Index stride, Index begin,
                     Index end);
  void (*score_run)(const Real* q, const Real* panels, Index begin, Index end, Index d, Real scale, Real* out);
  void (*multiply_panel)(Groups<Real> a, Index groups, Strided<const Real> b, Index d, Strided<const Real> start,
                         Strided<Real> out, Index count);
  void (*append_panel)(const Real* q, Index groups, const Real* k, Index d, Real scale, Column first,
                       Candidates<Real> rows);
  void (*append_scores)(const Real* scores, Index stride, Index count, Column first, Candidates<Real> rows);
  Index (*list_above)(Real* values, Column* columns, Index count, Real bound);
  Index (*keep_above)(Real* values, Column* columns, Index count, Real bound);
  Index (*thin)(Real* values, Column* columns, Index count, Index k, Index slack, Real* bound);
  void (*thin_rows)(Candidates<Real> rows, Index count, Index k, Index slack, Index limit);
  void (*guess_rows)(Candidates<Real> rows, Index count, Index limit, float expected);
  void (*take_best)(Candidates<Real> rows, Index count, Index k, Candidates<Real> to);
  void (*sigmoid)(Real* values, Index count);
  SoftmaxSums<Real> (*softmax)(Real* w, Index count, Real sink);
  bool (*all_finite)(const Real* v, Index stride, Index count, Index dv);
  void (*attend_chunk)(Real* tile, Index stride, const Segment* segments, Index count, const Real* v, Index v_stride,
                       Index dv, Index present, Sums<Real> to);
  void (*attend_careful)(Real* tile, Index stride, const Segment* segments, Index count, const Real* v, Index v_stride,
                         Index dv, Index present, Sums<Real> to);
  void (*merge_sums)(Sums<Real> whole, Sums<Real> part, Index count, Index dv);
  SoftmaxSums<Real> (*finish_row)(Sums<Real> row, Index dv, Real sink);
  void (*gather)(Real* out, const Real* weights, const Column* columns, Index count, const Real* v, Index stride,
                 Index dv);
  void (*dots)(Real* out, const Real* x, const Column* columns, Index count, const Real* v, Index stride, Index d);
};

#if defined(FILIGREE_COMPILED) && !defined(FILIGREE_COMPILED_SOURCE)
// The kernels are compiled once, in src/compiled.cpp, which defines FILIGREE_COMPILED_SOURCE.
template <class Real>
const Kernels<Real>& kernels();
template <>
const Kernels<float>& kernels();
template <>
const Kernels<double>& kernels();
#else

#define FILIGREE_LEVEL 0
#define FILIGREE_BITS 32
namespace baseline::f32 {
using Real = float;
using Bits = std::int32_t;
inline constexpr int lanes = 4, cols = 2, height = 4;
#include "filigree/kernel/all.inl"
}  // namespace baseline::f32
#undef FILIGREE_BITS
#define FILIGREE_BITS 64
namespace baseline::f64 {
using Real = double;
using Bits = std::int64_t;
inline constexpr int lanes = 2, cols = 2, height = 4;
#include "filigree/kernel/all.inl"
}  // namespace baseline::f64
#undef FILIGREE_BITS
#undef FILIGREE_LEVEL

#if defined(__x86_64__)
#define FILIGREE_LEVEL 2
FILIGREE_TARGET_BEGIN("avx2,fma,popcnt,bmi,lzcnt")
#define FILIGREE_BITS 32
namespace avx2::f32 {
using Real = float;
using Bits = std::int32_t;
inline constexpr int lanes = 8, cols = 2, height = 6;
#include "filigree/kernel/all.inl"
}  // namespace avx2::f32
#undef FILIGREE_BITS
#define FILIGREE_BITS 64
namespace avx2::f64 {
using Real = double;
using Bits = std::int64_t;
inline constexpr int lanes = 4, cols = 2, height = 6;
#include "filigree/kernel/all.inl"
}  // namespace avx2::f64
#undef FILIGREE_BITS
FILIGREE_TARGET_END
#undef FILIGREE_LEVEL

#define FILIGREE_LEVEL 512
FILIGREE_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,popcnt,bmi,lzcnt")
#define FILIGREE_BITS 32
namespace avx512::f32 {
using Real = float;
using Bits = std::int32_t;
inline constexpr int lanes = 16, cols = 4, height = 6;
#include "filigree/kernel/all.inl"
}  // namespace avx512::f32
#undef FILIGREE_BITS
#define FILIGREE_BITS 64
namespace avx512::f64 {
using Real = double;
using Bits = std::int64_t;
inline constexpr int lanes = 8, cols = 4, height = 6;
#include "filigree/kernel/all.inl"
}  // namespace avx512::f64
#undef FILIGREE_BITS
FILIGREE_TARGET_END
#undef FILIGREE_LEVEL
#endif

/// The kernels of the chosen instruction set.
template <class Real>
const Kernels<Real>& kernels() {
  static_assert(std::is_same_v<Real, float> || std::is_same_v<Real, double>);
  constexpr bool single = std::is_same_v<Real, float>;
  const auto pick = [](const auto& f32, const auto& f64) -> const Kernels<Real>& {
    if constexpr (single)
      return f32;
    else
      return f64;
  };
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::avx512: return pick(avx512::f32::table, avx512::f64::table);
    case InstructionSet::avx2: return pick(avx2::f32::table, avx2::f64::table);
    default: break;
  }
#endif
  return pick(baseline::f32::table, baseline::f64::table);
}

#if defined(FILIGREE_COMPILED_SOURCE)
template const Kernels<float>& kernels();
template const Kernels<double>& kernels();
#endif
#endif

}  // namespace FILIGREE_FLAGS
}  // namespace filigree::kernel

#undef FILIGREE_PRAGMA
#undef FILIGREE_HAS_ELEMENTWISE_FMA
#undef FILIGREE_UNROLL
#undef FILIGREE_UNROLL_TWICE
#undef FILIGREE_TARGET_BEGIN
#undef FILIGREE_TARGET_END
#undef FILIGREE_FLAGS
