// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "filigree/core/generator.hpp"
#include "filigree/nn/sequence_pass.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/stage/pipeline.hpp"

namespace filigree {

namespace detail {

template <class S, class T>
inline constexpr bool has_scalar_or_none = true;
template <class S, class T>
  requires requires { typename T::Scalar; }
inline constexpr bool has_scalar_or_none<S, T> = std::same_as<typename T::Scalar, S>;

/// Has a member type Scalar, the scalar of the first stage that has one, if there is such a stage.
template <class... T>
struct ScalarOf {};
template <class First, class... Rest>
struct ScalarOf<First, Rest...> : ScalarOf<Rest...> {};
template <class First, class... Rest>
  requires requires { typename First::Scalar; }
struct ScalarOf<First, Rest...> {
  using Scalar = typename First::Scalar;
  static_assert((has_scalar_or_none<Scalar, Rest> && ...),
                "filigree: network(stages): all layers must have the same scalar");
};

template <class L, Real S>
class SequenceState;

}  // namespace detail

/// Layers and stages, one after another, as one layer. Without stages, its outputs are its inputs.
template <Stage... T>
struct Sequence : detail::ScalarOf<T...> {
  using Category = Layer;
  template <Real S>
  using State = detail::SequenceState<Sequence, S>;
  std::tuple<T...> stages;

  explicit Sequence(std::tuple<T...> all) : stages(std::move(all)) {}

  [[nodiscard]] Index inputs() const { return detail::first_inputs(stages); }
  [[nodiscard]] Index outputs(Index width) const {
    std::apply([&](const auto&... stage) { ((width = detail::outputs_of(stage, width)), ...); }, stages);
    return width;
  }
  [[nodiscard]] Index parameter_count() const {
    return std::apply([](const auto&... stage) { return (detail::parameter_count(stage) + ... + Index{0}); }, stages);
  }
  template <Real S>
  void initialize(S* parameters, Generator& generator) const {
    each_layer(0, [&](const auto& layer, Index offset) { layer.initialize(parameters + offset, generator); });
  }
  template <class Net>
  void check_network(const Net& net) const {
    each_layer(0, [&](const auto& layer, Index) {
      if constexpr (requires { layer.check_network(net); }) layer.check_network(net);
    });
  }
  [[nodiscard]] bool reads_network_input() const {
    return std::apply([](const auto&... stage) { return (detail::reads_network_input(stage) || ...); }, stages);
  }
  // Calls f(layer, offset) for the layers with their parameters.
  template <class F>
  void each_layer(Index offset, F&& f) const {
    visit_layers(*this, offset, f);
  }
  template <class F>
  void each_layer(Index offset, F&& f) {
    visit_layers(*this, offset, f);
  }
  // Describes the layers in a checkpoint.
  [[nodiscard]] std::string text() const {
    std::string all;
    const auto add = [&](const auto& stage) { all += (all.empty() ? "" : " | ") + detail::stage_text(stage); };
    std::apply([&](const auto&... stage) { (add(stage), ...); }, stages);
    return "sequence(" + all + ")";
  }

 private:
  template <class Self, class F>
  static void visit_layers(Self& self, Index offset, F& f) {
    const auto visit = [&](auto& stage) {
      detail::each_layer(stage, offset, f);
      offset += detail::parameter_count(stage);
    };
    std::apply([&](auto&... stage) { (visit(stage), ...); }, self.stages);
  }
};

namespace detail {

template <Real S, class... T>
class SequenceState<Sequence<T...>, S> {
  using Pass = SequencePass<S, no_boundary, T...>;

 public:
  static constexpr bool adds_to_loss = Pass::any_adds_to_loss;

  void forward(const Sequence<T...>& layer, Context<S>& context) { pass_.forward(layer.stages, context); }
  Gradient<S> backward(const Sequence<T...>& layer, Context<S>& context) {
    return pass_.backward(layer.stages, context);
  }

 private:
  Pass pass_;
};

template <class... T>
Sequence<T...> make_sequence(std::tuple<T...> stages) {
  return Sequence<T...>(std::move(stages));
}

}  // namespace detail

/// Makes one layer of several: sequence(linear(64, 256) | gelu() | linear(256, 64)).
template <detail::Piped P>
auto sequence(P&& stages) {
  return detail::make_sequence(detail::stages_of(std::forward<P>(stages)));
}

}  // namespace filigree
