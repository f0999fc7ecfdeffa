// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <string_view>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// The sets of instructions that the kernels are compiled for, in rising order.
///
/// `baseline` is what the program itself was compiled for (SSE2 on x86-64, NEON on 64-bit ARM).
enum class InstructionSet { baseline, avx2, avx512 };

/// Returns the name of an instruction set, as the environment variable spells it.
constexpr std::string_view to_string(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512: return "avx512";
    case InstructionSet::avx2: return "avx2";
    default: return "baseline";
  }
}

namespace detail {

inline InstructionSet hardware_instruction_set() {
// g++ for Windows aligns the stack to 16 bytes only, and vectors of 32 and 64 that lie there must be aligned:
// https://gcc.gnu.org/bugzilla/show_bug.cgi?id=54412
#if defined(__x86_64__) && (!defined(_WIN32) || defined(__clang__))
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return InstructionSet::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::avx2;
#endif
  return InstructionSet::baseline;
}

inline InstructionSet choose_instruction_set() {
  const InstructionSet best = hardware_instruction_set();
  const char* wish = std::getenv("FILIGREE_INSTRUCTION_SET");
  if (wish == nullptr) return best;
  for (InstructionSet set : {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512})
    if (wish == to_string(set)) return set < best ? set : best;
  return best;
}

}  // namespace detail

/// Returns the instruction set whose kernels this program runs; chosen once, at the first call.
///
/// The best one that the processor has. The environment variable FILIGREE_INSTRUCTION_SET (`baseline`, `avx2`,
/// `avx512`) lowers it and never raises it; any other value is ignored.
inline InstructionSet instruction_set() {
  static const InstructionSet chosen = detail::choose_instruction_set();
  return chosen;
}

}  // namespace filigree
