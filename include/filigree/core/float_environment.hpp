// SPDX-License-Identifier: MIT
#pragma once

#if !defined(__SSE2__)
#include <cfenv>
#endif

#include "filigree/core/requirements.hpp"

// The floating-point environment of a thread: the rounding mode, and whether denormal numbers count as 0.

namespace filigree::detail {

/// The environment of the thread that creates it.
class FloatEnvironment {
 public:
#if defined(__SSE2__)
  // MXCSR without its exception flags. <cfenv> would save and load the x87 unit too, which nothing here computes with
  // and which takes 20 times as long.
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

/// Makes an environment that of this thread until the end of the scope.
class FloatEnvironmentScope {
 public:
  explicit FloatEnvironmentScope(const FloatEnvironment& wanted) noexcept : changes_(!(before_ == wanted)) {
    if (changes_) wanted.use();
  }
  ~FloatEnvironmentScope() {
    if (changes_) before_.use();
  }
  FloatEnvironmentScope(const FloatEnvironmentScope&) = delete;
  FloatEnvironmentScope& operator=(const FloatEnvironmentScope&) = delete;

 private:
  FloatEnvironment before_;
  bool changes_;
};

/// Makes this thread round to the nearest number until the end of the scope.
class RoundToNearest {
 public:
#if defined(__SSE2__)
  RoundToNearest() noexcept : before_(__builtin_ia32_stmxcsr()) {
    if ((before_ & mode) != 0) set(before_ & ~mode);
  }
  ~RoundToNearest() {
    if ((before_ & mode) != 0) set(before_);
  }

 private:
  static constexpr unsigned mode = 0x6000U;

  // Nothing that is loaded after the change, or stored before it, moves across it.
  static void set(unsigned control) noexcept {
    asm volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(control);
    asm volatile("" ::: "memory");
  }

  unsigned before_;

 public:
#else
  RoundToNearest() noexcept : before_(std::fegetround()) {
    if (before_ != FE_TONEAREST) std::fesetround(FE_TONEAREST);
  }
  ~RoundToNearest() {
    if (before_ != FE_TONEAREST) std::fesetround(before_);
  }

 private:
  int before_;

 public:
#endif
  RoundToNearest(const RoundToNearest&) = delete;
  RoundToNearest& operator=(const RoundToNearest&) = delete;
};

}  // namespace filigree::detail
