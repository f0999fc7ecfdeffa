// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include "filigree/nn/state.hpp"
#include "filigree/nn/term.hpp"

namespace filigree {

namespace detail {
template <class L, Real S>
class PenalizeState;
}

/// A layer that adds a penalty of its input to the loss.
template <Term P>
struct Penalize {
  using Category = Layer;
  template <Real S>
  using State = detail::PenalizeState<Penalize, S>;
  static constexpr bool is_identity = true;  // its outputs are its inputs
  P penalty;

  [[nodiscard]] Index outputs(Index width) const { return width; }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S, class Generator>
  void initialize(S*, Generator&) const {}

  /// Returns the value of the penalty, and adds its gradient to `gradient` unless that is null.
  template <Real S>
  double add(const detail::ConstRows<S>& a, S* gradient, const detail::Session& session) const {
    double value = 0;
    detail::each_term(penalty, 1,
                      [&](const auto& term, double factor) { value += term.add(a, factor, gradient, session); });
    return value;
  }
};

namespace detail {

template <class L, Real S>
class PenalizeState {
 public:
  static constexpr bool adds_to_loss = true;

  void forward(const L&, Context<S>& context) { context.out.share(context.in); }

  Gradient<S> backward(const L& layer, Context<S>& context) {
    if (context.gradient == nullptr) {
      *context.loss += layer.add(context.inputs(), static_cast<S*>(nullptr), context.session);
      return context.dy;
    }
    S* d = context.writable_output_gradient().data();
    *context.loss += layer.add(context.inputs(), d, context.session);
    return {.dense = d};
  }
};

}  // namespace detail

/// Returns its input and adds a penalty of it to the loss: penalize(3.0 * kl(0.01) + 0.1 * l1()).
template <Term P>
Penalize<std::remove_cvref_t<P>> penalize(P&& penalty) {
  static_assert(TermOf<P, Penalty>,
                "filigree: penalize(penalty): takes penalties of activations, such as 3.0 * kl(0.01) or l1()");
  return {std::forward<P>(penalty)};
}

}  // namespace filigree
