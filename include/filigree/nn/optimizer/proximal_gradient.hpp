// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/kernel/kernels.hpp"
#include "filigree/nn/optimizer/optimizer.hpp"

namespace filigree {

/// The optimizer proximal gradient descent, for an L1 penalty of the weights without the biases. It sets small weights
/// to exactly 0.
///
/// Formula    θ = soft(θ − rate · g, rate · l1), soft(x, t) = sign(x) · max(|x| − t, 0)
/// Reference  Daubechies et al., arXiv:math/0307152; Beck and Teboulle, SIAM J. Imaging Sci. 2, 2009, equation 1.4
struct proximal_gradient {
  double rate = 0.01;  ///< step size
  double l1 = 0.0;     ///< factor of the sum of the magnitudes

  static constexpr Index moments = 0;
  static constexpr bool is_elementwise = true;
  template <Real S>
  void check() const {
    detail::require_not_negative<S>(rate, "proximal_gradient{.rate}: rate");
    detail::require_not_negative<S>(l1, "proximal_gradient{.l1}: l1");
  }
  template <Real S>
  void step(const Parameters<S>& p, Index, double factor) const {
    const S size = static_cast<S>(rate * factor), bound = p.weights ? static_cast<S>(rate * factor * l1) : S(0);
    kernel::kernels<S>().proximal_step(p.values, p.gradient, p.count, size, bound);
  }
  template <Real S>
  [[nodiscard]] double bound_step(double values, double gradient, double*, Index, double factor) const {
    return values + rate * factor * (1 + gradient + l1);
  }
};

}  // namespace filigree
