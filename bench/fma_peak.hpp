// SPDX-License-Identifier: MIT
#pragma once

#include <filigree/kernel/instruction_set.hpp>

// Measures the peak rate of multiply-adds with independent chains in registers, compiled for each instruction set as
// the kernels are. 2 ports x 4 cycles of latency need 8 chains; 12 chains leave slack and fit in 16 registers. The
// x86-64 baseline has no fused multiply-add; there a multiplication and an addition count as one multiply-add.

#define BENCH_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define BENCH_UNROLL _Pragma("unroll")
#define BENCH_TARGET_BEGIN(set) BENCH_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define BENCH_TARGET_END _Pragma("clang attribute pop")
#else
#define BENCH_UNROLL _Pragma("GCC unroll 16")
#define BENCH_TARGET_BEGIN(set) _Pragma("GCC push_options") BENCH_PRAGMA(GCC target(set))
#define BENCH_TARGET_END _Pragma("GCC pop_options")
#endif

namespace bench {

inline constexpr int chains = 12;

namespace baseline {
inline constexpr int lanes = 4;
#include "fma_peak.inl"
}  // namespace baseline

#if defined(__x86_64__)
BENCH_TARGET_BEGIN("avx2,fma")
namespace avx2 {
inline constexpr int lanes = 8;
#include "fma_peak.inl"
}  // namespace avx2
BENCH_TARGET_END
BENCH_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,fma")
namespace avx512 {
inline constexpr int lanes = 16;
#include "fma_peak.inl"
}  // namespace avx512
BENCH_TARGET_END
#endif

struct FmaPeak {
  int lanes;
  float (*run)(long steps, float factor, float term);

  [[nodiscard]] double flop(long steps) const { return 2.0 * chains * lanes * static_cast<double>(steps); }
};

/// Returns the loop for the instruction set of the kernels.
inline FmaPeak fma_peak() {
#if defined(__x86_64__)
  switch (filigree::instruction_set()) {
    case filigree::InstructionSet::avx512: return {avx512::lanes, avx512::fma_chains};
    case filigree::InstructionSet::avx2: return {avx2::lanes, avx2::fma_chains};
    default: break;
  }
#endif
  return {baseline::lanes, baseline::fma_chains};
}

}  // namespace bench

#undef BENCH_PRAGMA
#undef BENCH_UNROLL
#undef BENCH_TARGET_BEGIN
#undef BENCH_TARGET_END
