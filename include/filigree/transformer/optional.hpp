// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "filigree/core/generator.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/nn/state.hpp"

namespace filigree::detail {

template <class T, Real S>
class OptionalState;

/// A stage that an option turns on, as a layer. If it is off, the outputs are the inputs.
template <class T>
struct Optional {
  using Category = Layer;
  template <Real S>
  using State = OptionalState<T, S>;
  T stage;
  bool on;

  [[nodiscard]] Index inputs() const { return inputs_of(stage); }
  [[nodiscard]] Index outputs(Index width) const { return on ? outputs_of(stage, width) : width; }
  [[nodiscard]] Index weight_count() const {
    if constexpr (LayerStage<T>)
      return on ? detail::weight_count(stage) : 0;
    else
      return 0;
  }
  [[nodiscard]] Index parameter_count() const { return on ? detail::parameter_count(stage) : 0; }
  template <Real S>
  void initialize(S* parameters, Generator& generator) const {
    if constexpr (LayerStage<T>)
      if (on) stage.initialize(parameters, generator);
  }
  // Calls f(layer, offset) for the layers of the stage, if it is on.
  template <class F>
  void each_layer(Index offset, F&& f) const {
    if (on) detail::each_layer(stage, offset, f);
  }
  template <class F>
  void each_layer(Index offset, F&& f) {
    if (on) detail::each_layer(stage, offset, f);
  }
  // Describes the stage in a checkpoint.
  [[nodiscard]] std::string text() const { return on ? stage_text(stage) : "off"; }
};

template <class T, Real S>
class OptionalState {
 public:
  void forward(const Optional<T>& optional, Context<S>& context) {
    if (optional.on)
      state_.forward(optional.stage, context);
    else
      context.out.share(context.in);
  }
  Gradient<S> backward(const Optional<T>& optional, Context<S>& context) {
    return optional.on ? state_.backward(optional.stage, context) : context.dy;
  }

 private:
  State<T, S> state_;
};

}  // namespace filigree::detail
