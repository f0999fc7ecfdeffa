// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/optimizer/adam.hpp"

namespace filigree {

/// The optimizer AdamW: Adam with decoupled weight decay. Biases do not decay.
///
/// Formula    θ −= rate · decay · θ, then the step of adam
/// Reference  Loshchilov and Hutter, arXiv:1711.05101, algorithm 2
struct adamw {
  double rate = 1e-3;     ///< step size
  double beta1 = 0.9;     ///< decay rate of the mean of the gradient
  double beta2 = 0.999;   ///< decay rate of the mean of its square
  double epsilon = 1e-8;  ///< keeps steps finite if the gradient is 0
  double decay = 0.01;    ///< fraction of a weight that is subtracted per step and unit of rate
  bool amsgrad = false;   ///< divides by the largest mean square so far

  static constexpr Index moments = 2;
  static constexpr bool is_elementwise = true;
  [[nodiscard]] Index extra_moments() const { return amsgrad ? 1 : 0; }
  template <Real S>
  void check() const {
    as_adam().check<S>();
    detail::require_not_negative<S>(decay, "adamw{.decay}: decay");
  }
  template <Real S>
  void step(const Parameters<S>& p, Index number, double factor) const {
    as_adam().step(p, number, factor, p.weights ? static_cast<S>(1 - rate * factor * decay) : S(1));
  }
  template <Real S>
  [[nodiscard]] double bound_step(double values, double gradient, double* moment, Index number, double factor) const {
    return as_adam().bound_step<S>(values * (1 + rate * factor * decay), gradient, moment, number, factor);
  }

 private:
  [[nodiscard]] adam as_adam() const {
    return {.rate = rate, .beta1 = beta1, .beta2 = beta2, .epsilon = epsilon, .amsgrad = amsgrad};
  }
};

}  // namespace filigree
