// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/adam.hpp"

namespace filigree {

/// The optimizer AdamW: Adam that also shrinks the weights, not the biases, before each step.
///
/// Formula    θ −= rate · decay · θ
/// Reference  Loshchilov and Hutter, arXiv:1711.05101, algorithm 2
struct adamw {
  double rate = 1e-3;     ///< step size
  double beta1 = 0.9;     ///< memory of the gradient
  double beta2 = 0.999;   ///< memory of its square
  double epsilon = 1e-8;  ///< keeps steps finite where the gradient has been 0
  double decay = 0.01;    ///< share of a weight that goes per step and unit of rate
  bool amsgrad = false;   ///< divides by the largest square so far, so that steps do not grow again

  static constexpr Index moments = 2;
  [[nodiscard]] Index extra_moments() const { return amsgrad ? 1 : 0; }
  template <Real S>
  void check() const {
    as_adam().template check<S>();
    detail::require_not_negative<S>(decay, "adamw{.decay}: decay");
  }
  template <Real S>
  void step(const Parameters<S>& p, Index number, double factor) const {
    const S kept = static_cast<S>(1 - rate * factor * decay);
    for (Index i = 0; i < p.count && p.weights; ++i) p.values[i] *= kept;
    as_adam().step(p, number, factor);
  }

 private:
  [[nodiscard]] adam as_adam() const {
    return {.rate = rate, .beta1 = beta1, .beta2 = beta2, .epsilon = epsilon, .amsgrad = amsgrad};
  }
};

}  // namespace filigree
