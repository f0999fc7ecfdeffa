// SPDX-License-Identifier: MIT
#pragma once

#if !defined(__SSE2__)
#include <cfenv>
#endif

#include "filigree/core/requirements.hpp"

// The floating-point environment of a thread: its rounding mode, and whether it flushes denormal numbers to 0.

namespace filigree::detail {

/// A copy of the floating-point environment of the thread that creates it.
class FloatEnvironment {
 public:
#if defined(__SSE2__)
  // MXCSR without its exception flags. <cfenv> would also save and load the x87 unit, which is not used here. That
  // takes 20 times as long.
  FloatEnvironment() noexcept : control_(__builtin_ia32_stmxcsr() & ~flags) {}
  void use() const noexcept { __builtin_ia32_ldmxcsr(control_); }
  friend bool operator==(const FloatEnvironment&, const FloatEnvironment&) = default;

 private:
  static constexpr unsigned flags = 0x3FU;
  unsigned control_;
#else
  FloatEnvironment() noexcept { std::fegetenv(&environment_); }
  void use() const noexcept { std::fesetenv(&environment_); }
  friend bool operator==(const FloatEnvironment&, const FloatEnvironment&) noexcept { return false; }

 private:
  std::fenv_t environment_;
#endif
};

/// A scope in which this thread has the given environment.
class FloatEnvironmentScope {
 public:
  explicit FloatEnvironmentScope(const FloatEnvironment& environment) noexcept : changes_(!(previous_ == environment)) {
    if (changes_) environment.use();
  }
  ~FloatEnvironmentScope() {
    if (changes_) previous_.use();
  }
  FloatEnvironmentScope(const FloatEnvironmentScope&) = delete;
  FloatEnvironmentScope& operator=(const FloatEnvironmentScope&) = delete;

 private:
  FloatEnvironment previous_;
  bool changes_;
};

/// A scope in which this thread rounds to nearest.
class RoundToNearest {
 public:
#if defined(__SSE2__)
  RoundToNearest() noexcept : previous_(__builtin_ia32_stmxcsr()) {
    if ((previous_ & mode) != 0) set(previous_ & ~mode);
  }
  ~RoundToNearest() {
    if ((previous_ & mode) != 0) set(previous_);
  }

 private:
  static constexpr unsigned mode = 0x6000U;

  // The barriers keep the compiler from moving loads and stores across the change.
  static void set(unsigned control) noexcept {
    asm volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(control);
    asm volatile("" ::: "memory");
  }

  unsigned previous_;

 public:
#else
  RoundToNearest() noexcept : previous_(std::fegetround()) {
    if (previous_ != FE_TONEAREST) std::fesetround(FE_TONEAREST);
  }
  ~RoundToNearest() {
    if (previous_ != FE_TONEAREST) std::fesetround(previous_);
  }

 private:
  int previous_;

 public:
#endif
  RoundToNearest(const RoundToNearest&) = delete;
  RoundToNearest& operator=(const RoundToNearest&) = delete;
};

}  // namespace filigree::detail
