// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#if !defined(__SSE2__) && !defined(__aarch64__)
#include <cfenv>
#endif

#include "filigree/core/requirements.hpp"

// The floating-point environment of a thread: its rounding mode, and whether it flushes denormal numbers to 0.

namespace filigree::detail {

#if defined(__SSE2__)
// The control register. <cfenv> would also save and load the x87 unit, which is not used here. That takes 20 times as
// long. The barriers keep the compiler from moving loads and stores across a change.
struct ControlRegister {
  using Value = std::uint32_t;
  static constexpr Value exceptions = 0x3F, rounding = 0x6000;

  static Value get() noexcept { return __builtin_ia32_stmxcsr(); }
  static void set(Value value) noexcept {
    asm volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(value);
    asm volatile("" ::: "memory");
  }
};
#define FILIGREE_CONTROL_REGISTER
#elif defined(__aarch64__)
// The control register. The flags of exceptions are in another register.
struct ControlRegister {
  using Value = std::uint64_t;
  static constexpr Value exceptions = 0, rounding = 0xC00000;

  static Value get() noexcept {
    Value value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set(Value value) noexcept { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
};
#define FILIGREE_CONTROL_REGISTER
#endif

/// A copy of the floating-point environment of the thread that creates it.
class FloatEnvironment {
 public:
#if defined(FILIGREE_CONTROL_REGISTER)
  FloatEnvironment() noexcept : control_(ControlRegister::get() & ~ControlRegister::exceptions) {}
  void use() const noexcept { ControlRegister::set(control_); }
  friend bool operator==(const FloatEnvironment&, const FloatEnvironment&) = default;

 private:
  ControlRegister::Value control_;
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
#if defined(FILIGREE_CONTROL_REGISTER)
  RoundToNearest() noexcept : previous_(ControlRegister::get()) {
    if ((previous_ & mode) != 0) ControlRegister::set(previous_ & ~mode);
  }
  ~RoundToNearest() {
    if ((previous_ & mode) != 0) ControlRegister::set(previous_);
  }

 private:
  static constexpr ControlRegister::Value mode = ControlRegister::rounding;
  ControlRegister::Value previous_;

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

#undef FILIGREE_CONTROL_REGISTER

}  // namespace filigree::detail
