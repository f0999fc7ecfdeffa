// SPDX-License-Identifier: MIT
#pragma once

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

template <class T>
concept Optimiser = requires(const T& optimiser, const Parameters<double>& parameters) {
  { T::moments } -> std::convertible_to<Index>;
  optimiser.step(parameters, Index{1}, 1.0);
};

}  // namespace filigree
