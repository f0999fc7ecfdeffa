// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <string_view>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// The instruction sets that the kernels are compiled for, in ascending order.
///
/// `baseline` is the instruction set that the program itself is compiled for (SSE2 on x86-64, NEON on 64-bit ARM).
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
// g++ for Windows aligns the stack to 16 bytes only, which is not enough for vectors of 32 and 64 bytes:
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
  const char* requested = std::getenv("FILIGREE_INSTRUCTION_SET");
  if (requested == nullptr) return best;
  for (InstructionSet set : {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512})
    if (requested == to_string(set)) return set < best ? set : best;
  return best;
}

}  // namespace detail

/// Returns the instruction set of the kernels that this program runs. It is chosen once, at the first call.
///
/// The default is the best instruction set that the processor supports. The environment variable
/// FILIGREE_INSTRUCTION_SET (`baseline`, `avx2`, `avx512`) can lower it but not raise it; other values are ignored.
inline InstructionSet instruction_set() {
  static const InstructionSet chosen = detail::choose_instruction_set();
  return chosen;
}

}  // namespace filigree
