// SPDX-License-Identifier: MIT
#define CATCH_CONFIG_RUNNER
#include "catch.hpp"

#include <cfenv>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

/// Sets the floating-point environment that FILIGREE_TEST_FLOATS names; false for a name that is none.
bool set_floating_point_environment(const std::string& name) {
  if (name.empty()) return true;
#if defined(__SSE2__)
  if (name == "no_denormals") {
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040U);  // FTZ and DAZ
    return true;
  }
#endif
  if (name == "upward") return std::fesetround(FE_UPWARD) == 0;
  if (name == "downward") return std::fesetround(FE_DOWNWARD) == 0;
  if (name == "toward_zero") return std::fesetround(FE_TOWARDZERO) == 0;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const char* floats = std::getenv("FILIGREE_TEST_FLOATS");
  if (!set_floating_point_environment(floats != nullptr ? floats : "")) {
    std::cerr << "FILIGREE_TEST_FLOATS must be no_denormals, upward, downward or toward_zero, got " << floats << '\n';
    return 2;
  }
  return Catch::Session().run(argc, argv);
}
