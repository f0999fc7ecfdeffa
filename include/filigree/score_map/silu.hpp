// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Activation function: the sigmoid linear unit.
struct Silu {
  using Category = ScoreMap;

  template <Real S>
  void map_all(S* values, Index count) const {
    constexpr Index chunk = 256;
    S factors[chunk];
    for (Index first = 0; first < count; first += chunk) {
      const Index size = (std::min)(chunk, count - first);
      S* const x = values + first;
      std::copy_n(x, size, factors);
      kernel::kernels<S>().sigmoid({factors, size}, 1, size, false);
      for (Index i = 0; i < size; ++i) x[i] *= factors[i];
    }
  }
  template <Real S>
  S derivative(S x, S) const {
    const S e = std::exp(-std::abs(x)), p = x < 0 ? e / (1 + e) : 1 / (1 + e);  // the logistic function
    return p * (1 + x * (1 - p));
  }
};

/// Multiplies x by its logistic function. Also called swish.
///
/// Formula    x / (1 + exp(−x))
/// Reference  Hendrycks and Gimpel, arXiv:1606.08415, section 2; Ramachandran et al., arXiv:1710.05941
inline Silu silu() { return {}; }

}  // namespace filigree
