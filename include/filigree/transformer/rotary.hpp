// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/buffer.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/kernel/types.hpp"

namespace filigree {

/// Which features of a head rotary() rotates together.
enum class rotary_pairs {
  halves,    ///< feature i and i + width / 2, as in GPT-NeoX and in Llama of transformers
  adjacent,  ///< feature 2 i and 2 i + 1, as in the paper and in GPT-J
};

/// Rotary positions, an option of attention().
struct Rotary {
  Index width = 0;  ///< number of rotated features, the first of each head; 0: none
  double base = 10000;
  rotary_pairs pairs = rotary_pairs::halves;
};

/// Rotates pairs of features of queries and keys by angles that grow with the position, so that scores depend on the
/// distance of query and key. Use it as {.rotary = rotary(width)} of attention().
///
/// Formula    (x_a, x_b) → (x_a cos φ − x_b sin φ, x_a sin φ + x_b cos φ), φ = position · base^(−2i / width) for pair i
/// Throws     Error if width is not even and at least 2, or base is not above 1 and finite
/// Reference  Su et al., arXiv:2104.09864, equation 34
inline Rotary rotary(Index width, double base = 10000, rotary_pairs pairs = rotary_pairs::halves) {
  detail::require(width >= 2 && width % 2 == 0, "rotary(width): width must be even and at least 2, got ", width);
  detail::require(base > 1 && std::isfinite(base), "rotary(width, base): base must be finite and above 1, got ", base);
  return {.width = width, .base = base, .pairs = pairs};
}

namespace detail {

/// The cosines and sines of the angles at positions from 0 on.
template <Real S>
class RotaryAngles {
 public:
  /// Computes the angles of positions below `length`, unless an earlier call did.
  void prepare(const Rotary& rotary, Index length) {
    const Index pairs = rotary.width / 2;
    if (length <= length_) return;
    length = (std::max)(length, 2 * length_);  // a Decoder adds positions one by one
    S* to = memory_.get<S>(2 * length * pairs);
    angles_ = to;
    for (Index p = 0; p < length; ++p)
      for (Index i = 0; i < pairs; ++i) {
        const double exponent = -2 * static_cast<double>(i) / static_cast<double>(rotary.width);
        const double angle = static_cast<double>(p) * std::pow(rotary.base, exponent);
        *to++ = static_cast<S>(std::cos(angle));
        *to++ = static_cast<S>(std::sin(angle));
      }
    length_ = length;
  }
  /// Rotates the features x of one head at a position, or rotates them back.
  void rotate(const Rotary& rotary, S* x, Index position, bool back) const {
    const Index pairs = rotary.width / 2;
    const S* angle = angles_ + 2 * position * pairs;
    const bool halves = rotary.pairs == rotary_pairs::halves;
    for (Index i = 0; i < pairs; ++i) {
      S &a = x[halves ? i : 2 * i], &b = x[halves ? i + pairs : 2 * i + 1];
      const S cosine = angle[2 * i], sine = back ? -angle[2 * i + 1] : angle[2 * i + 1], before = a;
      a = before * cosine - b * sine;
      b = before * sine + b * cosine;
    }
  }

 private:
  Buffer memory_;
  const S* angles_ = nullptr;
  Index length_ = 0;
};

}  // namespace detail
}  // namespace filigree
