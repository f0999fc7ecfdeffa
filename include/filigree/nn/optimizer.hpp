// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <concepts>
#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

/// Parameters that are moved together, and what an optimizer remembers of them.
template <Real S>
struct Parameters {
  S* values;          // [count]
  const S* gradient;  // [count]
  S* moments;         // [Optimizer::moments + extra_moments()][count], 0 before the first step
  Index count;
  bool weights;  // and not biases, which do not decay and are not drawn to 0
};

// An optimizer is an aggregate of options with the number of `moments` that it keeps for each parameter, if its options
// may ask for more `Index extra_moments() const`, and `void step(const Parameters<S>&, Index number, double factor)
// const`, which moves the parameters by their gradient in step `number`, counted from 1; its rate is multiplied by what
// a schedule says. `template <class S> void check() const` throws an Error if an option cannot work for parameters of
// type S; fit calls it before anything is changed.

namespace detail {

/// A moment, 0 once it has flush_denormal away: processors are many times slower with what lies below the normal
/// numbers, where it would stay for ever, since 0.9 of the least of them rounds to itself.
template <Real S>
S flush_denormal(S moment) {
  return std::abs(moment) < (std::numeric_limits<S>::min)() ? S(0) : moment;
}

/// Throws an Error unless an option is a number from 0 on that S can hold.
template <Real S>
void require_not_negative(double value, const char* name) {
  require_finite<S>(value, name);
  require(value >= 0, name, " must be at least 0, got ", value);
}
/// The same of what is kept of an average from step to step, which must be below 1.
inline void require_memory(double value, const char* name) {
  require(value >= 0 && value < 1, name, " must be at least 0 and below 1, got ", value);
}

/// The numbers that an optimizer keeps for each parameter.
template <class Opt>
Index moments_of(const Opt& optimizer) {
  if constexpr (requires { optimizer.extra_moments(); })
    return Opt::moments + optimizer.extra_moments();
  else
    return Opt::moments;
}

}  // namespace detail

template <class T>
concept Optimizer = requires(const T& optimizer, const Parameters<double>& parameters) {
  { T::moments } -> std::convertible_to<Index>;
  optimizer.step(parameters, Index{1}, 1.0);
};

}  // namespace filigree
