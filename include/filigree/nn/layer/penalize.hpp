// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include "filigree/nn/term.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// A layer that adds a penalty of its input to the loss.
template <Term P>
struct Penalize {
  using Category = Layer;
  P penalty;

  /// Returns the value of the penalty, and adds its gradient to `gradient` unless that is null.
  template <Real S>
  double add(const detail::ConstRows<S>& a, S* gradient, const detail::Session& session) const {
    double value = 0;
    detail::each_term(penalty, 1,
                      [&](const auto& term, double factor) { value += term.add(a, factor, gradient, session); });
    return value;
  }
};

/// Returns its input and adds a penalty of it to the loss: penalize(3.0 * kl(0.01) + 0.1 * l1()).
template <Term P>
Penalize<std::remove_cvref_t<P>> penalize(P&& penalty) {
  static_assert(TermOf<P, Penalty>,
                "filigree: penalize(penalty): takes penalties of activations, such as 3.0 * kl(0.01) or l1()");
  return {std::forward<P>(penalty)};
}

}  // namespace filigree
