// SPDX-License-Identifier: MIT
#define CATCH_CONFIG_RUNNER
#include "catch.hpp"

#include <cfenv>
#include <clocale>
#include <cstdlib>
#include <filigree/core/float_environment.hpp>
#include <iostream>
#include <locale>
#include <string>

// With LOCPATH set, glibc's setlocale leaks memory. LeakSanitizer ignores it.
extern "C" const char* __lsan_default_suppressions() { return "leak:argz_add_sep\n"; }

namespace {

/// Sets the floating-point environment that FILIGREE_TEST_FLOATS names. Returns false if the name is unknown.
bool set_floating_point_environment(const std::string& name) {
  if (name.empty()) return true;
#if defined(__SSE2__)
  if (name == "no_denormals") {
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040U);  // FTZ and DAZ
    return true;
  }
#elif defined(__aarch64__)
  if (name == "no_denormals") {
    filigree::detail::ControlRegister::set(filigree::detail::ControlRegister::get() | 0x1000000U);  // FZ
    return true;
  }
#endif
  if (name == "upward") return std::fesetround(FE_UPWARD) == 0;
  if (name == "downward") return std::fesetround(FE_DOWNWARD) == 0;
  if (name == "toward_zero") return std::fesetround(FE_TOWARDZERO) == 0;
  return false;
}

/// Sets the locale of C and of C++ streams. Returns false if the system does not have it.
bool set_locale(const std::string& name) {
  if (name.empty()) return true;
  if (std::setlocale(LC_ALL, name.c_str()) == nullptr) return false;
  std::locale::global(std::locale(name));
  return true;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

int main(int argc, char** argv) {
  const std::string floats = variable("FILIGREE_TEST_FLOATS"), locale = variable("FILIGREE_TEST_LOCALE");
  if (!set_floating_point_environment(floats)) {
    std::cerr << "FILIGREE_TEST_FLOATS must be no_denormals, upward, downward or toward_zero, got " << floats << '\n';
    return 2;
  }
  if (!set_locale(locale)) {
    std::cerr << "FILIGREE_TEST_LOCALE must be a locale of this system, got " << locale << '\n';
    return 2;
  }
  return Catch::Session().run(argc, argv);
}
