// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <concepts>
#include <limits>

#include "filigree/core/concepts.hpp"

namespace filigree {

/// Parameters that are moved together, and what an optimiser remembers of them.
template <Real S>
struct Parameters {
  S* values;          // [count]
  const S* gradient;  // [count]
  S* moments;         // [Optimiser::moments][count], 0 before the first step
  Index count;
  bool weights;  // and not biases, which do not decay and are not drawn to 0
};

// An optimiser is an aggregate of options with the number of `moments` that it keeps for each parameter and
// `void step(const Parameters<S>&, Index number, double factor) const`, which moves the parameters by their gradient in
// step `number`, counted from 1; its rate is multiplied by what a schedule says.

namespace detail {

/// A moment, 0 once it has faded away: processors are many times slower with what lies below the normal numbers, where
/// it would stay for ever, since 0.9 of the least of them rounds to itself.
template <Real S>
S faded(S moment) {
  return std::abs(moment) < (std::numeric_limits<S>::min)() ? S(0) : moment;
}

}  // namespace detail

template <class T>
concept Optimiser = requires(const T& optimiser, const Parameters<double>& parameters) {
  { T::moments } -> std::convertible_to<Index>;
  optimiser.step(parameters, Index{1}, 1.0);
};

}  // namespace filigree
