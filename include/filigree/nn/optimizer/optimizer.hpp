// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <concepts>
#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

/// Parameters that are updated together, with their gradient and the moments of the optimizer.
template <Real S>
struct Parameters {
  S* values;             // [count]
  const S* gradient;     // [count]
  S* moments;            // [Optimizer::moments + extra_moments()][stride], 0 before the first step
  Index count;           // at most stride
  bool weights;          // false: biases, which do not decay and are not penalized
  Index stride = count;  // distance from one moment of a parameter to the next

  /// Returns moment k of the parameters.
  [[nodiscard]] S* moment(Index k) const { return moments + k * stride; }
};

// An optimizer is an aggregate of options with these members:
//   moments: the number of moments for each parameter.
//   Index extra_moments() const: optional, the number of further moments that the options need.
//   void step(const Parameters<S>&, Index number, double factor) const: updates the parameters by their gradient in
//     step `number`, counted from 1. The schedule's factor multiplies the rate.
//   template <class S> void check() const: optional, throws an Error if an option is invalid for parameters of type S.
//     fit calls it before it changes anything.
//   static constexpr bool is_elementwise = true: optional. The step of each parameter depends on that parameter only,
//     so fit may call step for a part of the parameters, with a stride above their count, on several threads.
//   template <class S> double bound_step(double values, double gradient, double* moments, Index number, double factor)
//     const: optional. Given bounds of the magnitudes of the parameters, their gradient and, for each moment, its
//     values, returns a bound of the parameters after the step and of all numbers from which they are computed, and
//     updates the bounds of the moments. If it is far below the largest S, fit need not copy the parameters before the
//     step. It may return infinity or NaN.

namespace detail {

/// Returns a moment, or 0 if it is denormal.
///
/// Processors are many times slower with denormal numbers. A decaying moment would stay denormal forever, because 0.9
/// times the smallest denormal number rounds to the same number.
template <Real S>
S flush_denormal(S moment) {
  return std::abs(moment) < (std::numeric_limits<S>::min)() ? S(0) : moment;
}

/// Throws an Error unless an option is at least 0 and finite as an S.
template <Real S>
void require_not_negative(double value, const char* name) {
  require_finite<S>(value, name);
  require(value >= 0, name, " must be at least 0, got ", value);
}
/// Throws an Error unless the decay rate of a running mean is at least 0 and below 1.
inline void require_decay_rate(double value, const char* name) {
  require(value >= 0 && value < 1, name, " must be at least 0 and below 1, got ", value);
}

/// Returns the number of moments for each parameter.
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
