// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/generator.hpp"
#include "filigree/nn/layer/selection_state.hpp"
#include "filigree/normalize/dropout.hpp"

namespace filigree::detail {

/// Dropout as a layer. It drops other entries in each draw, and does nothing in inference.
template <Real S>
class State<Dropout, S> : public SelectionState<Dropout, S> {
  using Base = SelectionState<Dropout, S>;

 public:
  void forward(const Dropout& stage, Context<S>& context) {
    if (!context.training) return context.out.share(context.in);
    Dropout drawn = stage;
    drawn.seed = Generator(stage.seed, context.draw).bits64();
    Base::forward(drawn, context);
  }

  Gradient<S> backward(const Dropout& stage, Context<S>& context) {
    const Gradient<S> d = Base::backward(stage, context);
    const Lists<S>& kept = *d.lists;
    const S scale = static_cast<S>(1 / (1 - stage.p));
    if (scale != 1)
      detail::for_each_rows(kept.n, context.session, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i)
          for (Index e = i * kept.stride; e < i * kept.stride + kept.counts[i]; ++e) kept.gradients[e] *= scale;
      });
    return d;
  }
};

}  // namespace filigree::detail
