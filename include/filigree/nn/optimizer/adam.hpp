// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

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
    const auto t = static_cast<double>(number);
    const S size = static_cast<S>(rate * factor / (1 - std::pow(beta1, t)));
    const S root = static_cast<S>(std::sqrt(1 - std::pow(beta2, t))), eps = static_cast<S>(epsilon);
    const S b1 = static_cast<S>(beta1), b2 = static_cast<S>(beta2);
    const S c1 = static_cast<S>(1 - beta1), c2 = static_cast<S>(1 - beta2);
    S *m = p.moments, *v = m + p.count, *max_v = v + p.count;
    const auto update = [&](auto with_max) {
      for (Index i = 0; i < p.count; ++i) {
        const S g = p.gradient[i];
        m[i] = detail::flush_denormal(b1 * m[i] + c1 * g);
        v[i] = detail::flush_denormal(b2 * v[i] + c2 * g * g);
        S square = v[i];
        if constexpr (with_max) square = max_v[i] = (std::max)(max_v[i], square);
        p.values[i] -= size * m[i] / (std::sqrt(square) / root + eps);
      }
    };
    amsgrad ? update(std::true_type()) : update(std::false_type());
  }
};

}  // namespace filigree
