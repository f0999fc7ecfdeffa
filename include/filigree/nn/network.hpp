// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/sparse_indices.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/nn/network_pass.hpp"
#include "filigree/stage/pipeline.hpp"

namespace filigree {

template <class Net>
class Pass;

/// A sequence of layers with their parameters.
template <Real S, Stage... Stages>
class Network {
 public:
  using Scalar = S;
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  using StageTuple = std::tuple<Stages...>;
  static constexpr std::size_t depth = sizeof...(Stages);

  Network(StageTuple stages, std::uint64_t seed) : stages_(std::move(stages)) {
    Index width = first_inputs(), at = 0;
    std::size_t number = 0;
    const auto measure = [&](const auto& stage) {
      widths_[number] = width;
      offsets_[number++] = at;
      if constexpr (detail::ParameterLayer<std::remove_cvref_t<decltype(stage)>>) {
        width = stage.outputs(width);
        at += stage.parameter_count();
      }
    };
    std::apply([&](const auto&... stage) { (measure(stage), ...); }, stages_);
    widths_[depth] = width;
    each_layer([&](const auto& layer, std::size_t) {
      if constexpr (detail::is_linear<std::remove_cvref_t<decltype(layer)>>)
        detail::require(layer.skip == 0 || layer.skip == widths_[0], "linear(", layer.in, ", ", layer.out,
                        ").skip_connection(", layer.skip, "): the network takes ", widths_[0], " columns");
    });
    if constexpr (std::same_as<std::tuple_element_t<0, StageTuple>, PreBias>)
      detail::require(widths_[0] == width, "pre_bias(): the last layer's bias has ", width,
                      " numbers, and the samples have ", widths_[0]);
    offsets_[depth] = at;
    parameters_.resize(at);
    each_layer([&](const auto& layer, std::size_t l) {
      Generator generator(seed, l);
      layer.initialize(parameters_.data() + offsets_[l], generator);
    });
  }

  [[nodiscard]] Index inputs() const { return widths_[0]; }
  [[nodiscard]] Index outputs() const { return widths_[depth]; }

  /// Returns the parameters of all layers, in the order of the layers.
  [[nodiscard]] Vector& parameters() { return parameters_; }
  [[nodiscard]] const Vector& parameters() const { return parameters_; }

  /// Returns stage number L, counted from 0.
  template <std::size_t L>
  [[nodiscard]] const auto& stage() const {
    static_assert(L < depth, "filigree: network.stage<L>(): there are fewer stages");
    return std::get<L>(stages_);
  }
  /// Returns the weights of linear stage number L, in x out, in the memory of parameters().
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<Matrix> weights() {
    require_weights<L>();
    return {parameters_.data() + offsets_[L], stage<L>().in, stage<L>().out};
  }
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<const Matrix> weights() const {
    require_weights<L>();
    return {parameters_.data() + offsets_[L], stage<L>().in, stage<L>().out};
  }
  /// Returns the biases of stage number L. For jump_relu these are the thresholds.
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<Vector> biases() {
    return {parameters_.data() + offsets_[L] + stage<L>().weight_count(),
            stage<L>().parameter_count() - stage<L>().weight_count()};
  }
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<const Vector> biases() const {
    return {parameters_.data() + offsets_[L] + stage<L>().weight_count(),
            stage<L>().parameter_count() - stage<L>().weight_count()};
  }

  /// Returns W_skip of linear stage number L, inputs x out; empty if it has no skip connection.
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<Matrix> skip_weights() {
    return {parameters_.data() + offsets_[L] + stage<L>().in * stage<L>().out, stage<L>().skip, stage<L>().out};
  }
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<const Matrix> skip_weights() const {
    return {parameters_.data() + offsets_[L] + stage<L>().in * stage<L>().out, stage<L>().skip, stage<L>().out};
  }

  /// Returns true if the parameters of stages [first, last) satisfy the constraints of their layers: unit_norm_rows(),
  /// masked(), non_negative(), and thresholds of at least 0.
  ///
  /// A new network satisfies them. A caller may write other parameters to parameters().
  template <std::size_t first = 0, std::size_t last = depth>
  [[nodiscard]] bool is_constrained() const {
    bool holds = true;
    each_layer([&](const auto& layer, std::size_t l) {
      if constexpr (requires { layer.satisfies_constraints(parameters_.data()); })
        holds = holds && (l < first || l >= last || layer.satisfies_constraints(parameters_.data() + offsets_[l]));
    });
    return holds;
  }
  /// Projects the parameters onto the nearest ones that satisfy the constraints.
  ///
  /// Outputs and losses are always computed from projected parameters. fit calls this function at its start.
  void constrain() {
    each_layer([&](const auto& layer, std::size_t l) {
      if constexpr (requires { layer.project_weights(parameters_.data()); })
        layer.project_weights(parameters_.data() + offsets_[l]);
    });
  }

  /// Returns the outputs for samples as rows. Dropout is off.
  ///
  /// Layers pass on either matrices or lists of kept entries, depending on the number of kept entries of all samples.
  /// The last bits of an output may therefore depend on the other samples, unless each sample keeps equally many
  /// entries, as with top_k.
  /// Shapes  X: N x inputs, result: N x outputs
  /// Throws  Error if X.cols() is not inputs()
  template <Samples X>
  [[nodiscard]] Matrix operator()(const X& x) const {
    return run<0, depth>(x, "network(X)");
  }

  /// Returns the input of stage number `last`, counted from 0, for samples as rows.
  ///
  /// Throws  Error if X.cols() is not inputs()
  template <std::size_t last, Samples X>
  [[nodiscard]] Matrix before(const X& x) const {
    static_assert(last <= depth, "filigree: network.before<L>(X): there are fewer stages");
    return run<0, last>(x, "network.before<L>(X)");
  }

  /// Returns the number of input columns of stage number l. For l = depth, returns the number of output columns.
  [[nodiscard]] Index width(std::size_t l) const { return widths_[l]; }
  // Returns the offset of the parameters of stage number l in parameters().
  [[nodiscard]] Index offset(std::size_t l) const { return offsets_[l]; }

  // Calls f(layer, l) for the stages that have parameters.
  template <class F>
  void each_layer(F&& f) const {
    detail::with_indices<depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
      const auto visit = [&](const auto& stage, std::size_t l) {
        if constexpr (detail::ParameterLayer<std::remove_cvref_t<decltype(stage)>>) f(stage, l);
      };
      (visit(std::get<L>(stages_), L), ...);
    });
  }

 protected:
  /// Returns the outputs of stages [first, last).
  template <std::size_t first, std::size_t last, class X>
  [[nodiscard]] Matrix run(const X& x, const char* call) const {
    static_assert(StoredReal<typename X::Scalar, S>,
                  "filigree: network(X): X must have the scalar of the network; cast it with .cast<>()");
    detail::require(x.cols() == widths_[first], call, ": X.cols() = ", x.cols(), " must be ", widths_[first]);
    detail::require_valid_samples(x, call);
    each_layer([&](const auto& layer, std::size_t l) {
      if constexpr (detail::is_linear<std::remove_cvref_t<decltype(layer)>>)
        detail::require(first == 0 || l < first || l >= last || layer.skip == 0, call, ": stage ", l,
                        " has a skip connection and needs the samples; use network(X)");
    });
    if (is_constrained<first, last>()) return run_stages<first, last>(x);
    Network constrained = *this;
    constrained.constrain();
    return constrained.template run_stages<first, last>(x);
  }

 private:
  template <std::size_t L>
  static constexpr void require_weights() {
    static_assert(L < depth, "filigree: network.weights<L>(): there are fewer stages");
    if constexpr (L < depth)
      static_assert(
          requires(std::tuple_element_t<L, StageTuple> stage) {
            stage.in;
            stage.out;
          },
          "filigree: network.weights<L>(): stage L, from 0, has no weights; linear and gated layers have");
  }

  template <std::size_t first, std::size_t last, class X>
  [[nodiscard]] Matrix run_stages(const X& x) const {
    const detail::Session session(detail::Execution{});
    detail::NetworkPass<S, StageTuple> pass;
    pass.template run<first, last>(*this, x, {.session = session, .training = false, .draw = 0});
    return pass.at(last).rows(session);
  }

  /// Returns the number of inputs of the first layer with a fixed width. Preceding stages keep the width.
  [[nodiscard]] Index first_inputs() const {
    Index width = -1;
    each_layer([&](const auto& layer, std::size_t) {
      if constexpr (requires { layer.inputs(); })
        if (width < 0) width = layer.inputs();
    });
    return width;
  }

  StageTuple stages_;
  std::array<Index, depth + 1> widths_, offsets_;
  Vector parameters_;
};

namespace detail {

template <class S, class T>
inline constexpr bool has_scalar_or_none = true;
template <class S, class T>
  requires requires { typename T::Scalar; }
inline constexpr bool has_scalar_or_none<S, T> = std::same_as<typename T::Scalar, S>;

/// The scalar type of the first layer that has one.
template <class... T>
struct ScalarOf {
  static_assert(sizeof...(T) > 0, "filigree: network(stages): needs a layer with a scalar, such as linear(in, out)");
};
template <class First, class... Rest>
struct ScalarOf<First, Rest...> : ScalarOf<Rest...> {};
template <class First, class... Rest>
  requires requires { typename First::Scalar; }
struct ScalarOf<First, Rest...> {
  using type = typename First::Scalar;
  static_assert((has_scalar_or_none<type, Rest> && ...),
                "filigree: network(stages): all layers must have the same scalar");
};

template <class Tuple>
struct NetworkOf;
template <class... T>
struct NetworkOf<std::tuple<T...>> {
  using type = Network<typename ScalarOf<T...>::type, T...>;
};

}  // namespace detail

/// Makes a network of layers and stages: network(linear(64, 25) | sigmoid() | linear(25, 10), seed).
///
/// Any stage with a derivative can be a layer: maps with a derivative(), selectors, dropout.
/// Throws  Error if the width of a layer does not match the preceding one
template <detail::Piped P>
auto network(P&& stages, std::uint64_t seed = 0) {
  auto tuple = detail::stages_of(std::forward<P>(stages));
  return typename detail::NetworkOf<decltype(tuple)>::type(std::move(tuple), seed);
}

}  // namespace filigree
