// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/kernel/kernels.hpp"
#include "filigree/nn/optimizer/optimizer.hpp"

namespace filigree {

/// The optimizer Adam. It divides a running mean of the gradient by the root of its running mean square.
///
/// m^ and v^ are m and v divided by 1 − β₁ᵗ and 1 − β₂ᵗ in step t. With amsgrad the largest v so far replaces v.
/// Formula    m = β₁ m + (1 − β₁) g, v = β₂ v + (1 − β₂) g², θ −= rate · m^ / (√v^ + epsilon)
/// Reference  Kingma and Ba, arXiv:1412.6980, algorithm 1; Reddi et al., arXiv:1904.09237, algorithm 2, in the form of
///            torch.optim.Adam
struct adam {
  double rate = 1e-3;     ///< step size
  double beta1 = 0.9;     ///< decay rate of the mean of the gradient
  double beta2 = 0.999;   ///< decay rate of the mean of its square
  double epsilon = 1e-8;  ///< keeps steps finite if the gradient is 0
  bool amsgrad = false;   ///< divides by the largest mean square so far

  static constexpr Index moments = 2;
  static constexpr bool is_elementwise = true;
  [[nodiscard]] Index extra_moments() const { return amsgrad ? 1 : 0; }
  template <Real S>
  void check() const {
    detail::require_not_negative<S>(rate, "adam{.rate}: rate");
    detail::require_decay_rate(beta1, "adam{.beta1}: beta1");
    detail::require_decay_rate(beta2, "adam{.beta2}: beta2");
    detail::require_finite<S>(epsilon, "adam{.epsilon}: epsilon");
    detail::require(static_cast<S>(epsilon) > 0, "adam{.epsilon}: epsilon must be positive",
                    sizeof(S) == 4 ? " as a float" : "", ", got ", epsilon);
  }
  template <Real S>
  void step(const Parameters<S>& p, Index number, double factor) const {
    step(p, number, factor, S(1));
  }
  // Multiplies the parameters by `shrink` first.
  template <Real S>
  void step(const Parameters<S>& p, Index number, double factor, S shrink) const {
    const auto t = static_cast<double>(number);
    const kernel::AdamStep<S> step = {.size = static_cast<S>(rate * factor / (1 - std::pow(beta1, t))),
                                      .beta1 = static_cast<S>(beta1),
                                      .beta2 = static_cast<S>(beta2),
                                      .rest1 = static_cast<S>(1 - beta1),
                                      .rest2 = static_cast<S>(1 - beta2),
                                      .root = static_cast<S>(std::sqrt(1 - std::pow(beta2, t))),
                                      .epsilon = static_cast<S>(epsilon),
                                      .shrink = shrink};
    kernel::kernels<S>().adam_step(p.values, p.gradient, p.moment(0), p.moment(1), amsgrad ? p.moment(2) : nullptr,
                                   p.count, step);
  }
  template <Real S>
  [[nodiscard]] double bound_step(double values, double gradient, double* moment, Index number, double factor) const {
    if (epsilon < static_cast<double>((std::numeric_limits<S>::min)())) return std::numeric_limits<double>::infinity();
    moment[0] = beta1 * moment[0] + gradient;
    moment[1] = beta2 * moment[1] + gradient * gradient;
    if (amsgrad) moment[2] = (std::max)(moment[2], moment[1]);
    const double step = rate * factor / (1 - std::pow(beta1, static_cast<double>(number)));
    const double root = std::sqrt(1 - std::pow(beta2, static_cast<double>(number)));
    const double change = step * moment[0];
    return values + step + change + change / epsilon + moment[1] + moment[amsgrad ? 2 : 1] / root;
  }
};

}  // namespace filigree
