// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <string_view>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// The instruction sets that the kernels are compiled for.
///
/// `baseline` is the instruction set that the program itself is compiled for (SSE2 on x86-64). `avx2` and `avx512`
/// exist on x86-64, `neon` on 64-bit ARM.
enum class InstructionSet { baseline, avx2, avx512, neon };

/// Returns the name of an instruction set, as the environment variable spells it.
constexpr std::string_view to_string(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512: return "avx512";
    case InstructionSet::avx2: return "avx2";
    case InstructionSet::neon: return "neon";
    default: return "baseline";
  }
}

namespace detail {

// The instruction sets of this architecture, the best first. Every processor supports the last.
#if defined(__x86_64__)
inline constexpr InstructionSet preferences[] = {InstructionSet::avx512, InstructionSet::avx2,
                                                 InstructionSet::baseline};
#elif defined(__AARCH64EL__)
inline constexpr InstructionSet preferences[] = {InstructionSet::neon, InstructionSet::baseline};
#else
inline constexpr InstructionSet preferences[] = {InstructionSet::baseline};
#endif

// Returns true if the processor supports an instruction set of this architecture.
inline bool is_supported(InstructionSet set) {
#if defined(__x86_64__) && defined(_WIN32) && !defined(__clang__)
  // g++ for Windows aligns the stack to 16 bytes only, which is not enough for vectors of 32 and 64 bytes:
  // https://gcc.gnu.org/bugzilla/show_bug.cgi?id=54412
  return set == InstructionSet::baseline;
#elif defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  switch (set) {
    case InstructionSet::avx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    case InstructionSet::avx2: return avx2;
    default: return true;
  }
#else
  return set == InstructionSet::neon || set == InstructionSet::baseline;
#endif
}

// Returns the first supported instruction set. The environment variable removes those that precede the one it names.
[[gnu::noinline]] inline InstructionSet choose_instruction_set() {
  const char* requested = std::getenv("FILIGREE_INSTRUCTION_SET");
  const InstructionSet* first = preferences;
  for (const InstructionSet& set : preferences)
    if (requested != nullptr && requested == to_string(set)) first = &set;
  while (!is_supported(*first)) ++first;
  return *first;
}

}  // namespace detail

/// Returns the instruction set of the kernels that this program runs. It is chosen once, at the first call.
///
/// The default is the best instruction set that the processor supports. The environment variable
/// FILIGREE_INSTRUCTION_SET (`baseline`, `avx2`, `avx512`, `neon`) can lower it but not raise it; other values are
/// ignored.
inline InstructionSet instruction_set() {
  static const InstructionSet chosen = detail::choose_instruction_set();
  return chosen;
}

}  // namespace filigree
