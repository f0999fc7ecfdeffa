// SPDX-License-Identifier: MIT
#pragma once

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

  static constexpr Index moments = 1;
  template <Real S>
  void check() const {
    detail::require_not_negative<S>(rate, "sgd{.rate}: rate");
    detail::require_decay_rate(momentum, "sgd{.momentum}: momentum");
    detail::require(!nesterov || momentum > 0, "sgd{.nesterov}: needs a momentum above 0, got ", momentum);
  }
  template <Real S>
  void step(const Parameters<S>& p, Index, double factor) const {
    const S decay = static_cast<S>(momentum), size = static_cast<S>(rate * factor);
    for (Index i = 0; i < p.count; ++i) {
      p.moments[i] = detail::flush_denormal(decay * p.moments[i] + p.gradient[i]);
      p.values[i] -= size * (nesterov ? p.gradient[i] + decay * p.moments[i] : p.moments[i]);
    }
  }
};

}  // namespace filigree
