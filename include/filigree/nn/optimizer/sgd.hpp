// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/kernel/kernels.hpp"
#include "filigree/nn/optimizer/optimizer.hpp"

namespace filigree {

/// The optimizer stochastic gradient descent, with optional momentum.
///
/// Formula    v = momentum · v + g, θ −= rate · v; Nesterov: θ −= rate · (g + momentum · v)
/// Reference  Sutskever et al., ICML 2013, section 2; in the form of torch.optim.SGD
struct sgd {
  double rate = 0.01;     ///< step size
  double momentum = 0.0;  ///< decay rate of v, below 1
  bool nesterov = false;  ///< Nesterov's form; needs momentum

  static constexpr Index moments = 1;  // 0 without momentum
  static constexpr bool is_elementwise = true;
  template <Real S>
  void check() const {
    detail::require_not_negative<S>(rate, "sgd{.rate}: rate");
    detail::require_decay_rate(momentum, "sgd{.momentum}: momentum");
    detail::require(!nesterov || momentum > 0, "sgd{.nesterov}: needs a momentum above 0, got ", momentum);
  }
  template <Real S>
  void step(const Parameters<S>& p, Index, double factor) const {
    const S size = static_cast<S>(rate * factor);
    kernel::kernels<S>().sgd_step(p.values, p.gradient, p.moment(0), p.count,
                                  {size, static_cast<S>(momentum), nesterov});
  }
  template <Real S>
  [[nodiscard]] double bound_step(double values, double gradient, double* moment, Index, double factor) const {
    *moment = momentum * *moment + gradient;
    return values + (1 + rate * factor) * (1 + gradient + *moment);
  }
};

}  // namespace filigree
