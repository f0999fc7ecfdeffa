// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/sparse_indices.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/nn/batch.hpp"
#include "filigree/nn/network_pass.hpp"
#include "filigree/nn/sequence.hpp"
#include "filigree/stage/pipeline.hpp"

namespace filigree {

template <class Net>
class Pass;

/// A sequence of layers with their parameters, in one vector.
template <Real S, Stage... Stages>
class Network {
 public:
  using Scalar = S;
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  using StageTuple = std::tuple<Stages...>;
  static constexpr std::size_t depth = sizeof...(Stages);

  Network(StageTuple stages, std::uint64_t seed) : sequence_(std::move(stages)) {
    Index width = sequence_.inputs(), at = 0;
    std::size_t number = 0;
    const auto measure = [&](const auto& stage) {
      widths_[number] = width;
      offsets_[number++] = at;
      width = detail::outputs_of(stage, width);
      at += detail::parameter_count(stage);
    };
    std::apply([&](const auto&... stage) { (measure(stage), ...); }, sequence_.stages);
    widths_[depth] = width;
    offsets_[depth] = at;
    sequence_.check_network(*this);
    parameters_.resize(at);
    each_stage([&](const auto& stage, std::size_t l) {
      Generator generator(seed, l);
      if constexpr (LayerStage<decltype(stage)>) stage.initialize(parameters_.data() + offsets_[l], generator);
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
    return std::get<L>(sequence_.stages);
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
  /// Constrains the weights of linear stage number L to 0 wherever the mask is 0, as masked() does, and sets
  /// them to 0. It replaces an earlier mask of the layer. Later training keeps the constraint.
  ///
  /// Shapes  mask: in x out
  /// Throws  Error if the mask has another shape
  template <std::size_t L, DenseExpression M>
  void mask_weights(const M& mask) {
    require_weights<L>();
    auto& layer = std::get<L>(sequence_.stages);
    static_assert(
        requires { layer.masked(mask); }, "filigree: network.mask_weights<L>(mask): only linear layers have masks");
    layer = layer.masked(mask);
    layer.project_weights(parameters_.data() + offsets_[L]);
  }

  /// Returns the biases of stage number L. For jump_relu these are the thresholds.
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<Vector> biases() {
    const Index weights = detail::weight_count(stage<L>());
    return {parameters_.data() + offsets_[L] + weights, detail::parameter_count(stage<L>()) - weights};
  }
  template <std::size_t L>
  [[nodiscard]] Eigen::Map<const Vector> biases() const {
    const Index weights = detail::weight_count(stage<L>());
    return {parameters_.data() + offsets_[L] + weights, detail::parameter_count(stage<L>()) - weights};
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
    each_layer([&](const auto& layer, std::size_t l, Index offset) {
      if constexpr (requires { layer.satisfies_constraints(parameters_.data()); })
        holds = holds && (!is_in<first, last>(l) || layer.satisfies_constraints(parameters_.data() + offset));
    });
    return holds;
  }
  /// Projects the parameters onto the nearest ones that satisfy the constraints.
  ///
  /// Outputs and losses are always computed from projected parameters. fit calls this function at its start.
  void constrain() {
    each_layer([&](const auto& layer, std::size_t, Index offset) {
      if constexpr (requires { layer.project_weights(parameters_.data()); })
        layer.project_weights(parameters_.data() + offset);
    });
  }

  /// Returns the outputs for samples as rows, without dropout.
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
  /// Returns the outputs for sequences of different lengths. Layers with attention do not attend between them.
  ///
  /// Shapes  tokens: N x inputs, result: N x outputs, or one row for each sequence after pool_mean()
  /// Throws  Error if tokens.cols() is not inputs()
  template <class X, class M>
  [[nodiscard]] Matrix operator()(const Batch<X, M>& x) const {
    return run<0, depth>(detail::tokens_of<S>(x), "network(Batch{tokens, lengths})", detail::lengths_of(x));
  }

  /// Returns the input of stage number `last`, counted from 0, for samples as rows.
  ///
  /// Throws  Error if X.cols() is not inputs()
  template <std::size_t last, Samples X>
  [[nodiscard]] Matrix before(const X& x) const {
    static_assert(last <= depth, "filigree: network.before<L>(X): there are fewer stages");
    return run<0, last>(x, "network.before<L>(X)");
  }
  template <std::size_t last, class X, class M>
  [[nodiscard]] Matrix before(const Batch<X, M>& x) const {
    static_assert(last <= depth, "filigree: network.before<L>(X): there are fewer stages");
    return run<0, last>(detail::tokens_of<S>(x), "network.before<L>(Batch{tokens, lengths})", detail::lengths_of(x));
  }

  /// Returns the number of input columns of stage number l. For l = depth, returns the number of output columns.
  [[nodiscard]] Index width(std::size_t l) const { return widths_[l]; }
  // Returns the offset of the parameters of stage number l in parameters().
  [[nodiscard]] Index offset(std::size_t l) const { return offsets_[l]; }

  [[nodiscard]] const StageTuple& stages() const { return sequence_.stages; }

  // Calls f(layer, l, offset) for the layers of stage l, which has several if it is a sequence or a sum. `offset` is
  // that of the layer's parameters in parameters().
  template <class F>
  void each_layer(F&& f) const {
    each_stage([&](const auto& stage, std::size_t l) {
      detail::each_layer(stage, offsets_[l], [&](const auto& layer, Index offset) { f(layer, l, offset); });
    });
  }
  template <class F>
  void each_layer(F&& f) {
    detail::with_indices<depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
      const auto visit = [&](auto& stage, std::size_t l) {
        detail::each_layer(stage, offsets_[l], [&](auto& layer, Index offset) { f(layer, l, offset); });
      };
      (visit(std::get<L>(sequence_.stages), L), ...);
    });
  }
  // Returns the inputs of the linear layer, at any depth, whose parameters begin at `offset`, for samples.
  template <class X, class Lengths = detail::Slice<Index>>
  [[nodiscard]] Matrix inputs_of_layer(Index offset, const X& x, const char* call, const Lengths& lengths = {}) const {
    detail::InputsOfLayer<S> wanted;
    wanted.parameters = parameters_.data() + offset;
    (void)run<0, depth>(x, call, lengths, &wanted);
    return std::move(wanted.rows);
  }
  /// Returns true if the outputs have one row for each sequence, as after pool_mean().
  [[nodiscard]] bool pools_sequences() const { return detail::pools_sequences(sequence_); }
  // Returns true if a layer reads the table of the embedding.
  [[nodiscard]] bool reads_table() const {
    bool reads = false;
    each_layer([&](const auto& layer, std::size_t, Index) {
      reads = reads || requires { layer.reads_table; };
    });
    return reads;
  }
  // Returns true if a layer of stages [first, last) reads the network's input.
  template <std::size_t first, std::size_t last>
  [[nodiscard]] bool reads_network_input() const {
    bool reads = false;
    each_stage([&](const auto& stage, std::size_t l) {
      reads = reads || (is_in<first, last>(l) && detail::reads_network_input(stage));
    });
    return reads;
  }

 protected:
  /// Returns the outputs of stages [first, last).
  template <std::size_t first, std::size_t last, class X, class Lengths = detail::Slice<Index>>
  [[nodiscard]] Matrix run(const X& x, const char* call, const Lengths& lengths = {},
                           detail::InputsOfLayer<S>* wanted = nullptr) const {
    static_assert(StoredReal<typename X::Scalar, S>,
                  "filigree: network(X): X must have the scalar of the network; cast it with .cast<>()");
    detail::require(x.cols() == widths_[first], call, ": X.cols() = ", x.cols(), " must be ", widths_[first]);
    detail::require_valid_samples(x, call);
    each_stage([&](const auto& stage, std::size_t l) {
      detail::require(first == 0 || !is_in<first, last>(l) || !detail::reads_network_input(stage), call, ": stage ", l,
                      " has a skip connection and needs the samples; use network(X)");
    });
    if (is_constrained<first, last>()) return run_stages<first, last>(x, lengths, wanted);
    Network constrained = *this;
    constrained.constrain();
    if (wanted != nullptr)
      wanted->parameters = constrained.parameters_.data() + (wanted->parameters - parameters_.data());
    return constrained.template run_stages<first, last>(x, lengths, wanted);
  }

 private:
  template <std::size_t first, std::size_t last>
  static constexpr bool is_in(std::size_t l) {
    return l + 1 > first && l < last;
  }

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

  template <std::size_t first, std::size_t last, class X, class Lengths>
  [[nodiscard]] Matrix run_stages(const X& x, const Lengths& lengths, detail::InputsOfLayer<S>* wanted) const {
    return detail::with_indices<last - first>([&]<std::size_t... L>(std::index_sequence<L...>) {
      const detail::Session session(detail::Execution{});
      detail::NetworkPass<S, detail::no_boundary, std::tuple_element_t<first + L, StageTuple>...> pass;
      return Matrix(
          pass.infer(*this, std::tie(stage<first + L>()...), first, x, session, lengths, wanted).rows(session));
    });
  }

  template <class F>
  void each_stage(F&& f) const {
    detail::with_indices<depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
      (f(std::get<L>(sequence_.stages), L), ...);
    });
  }

  Sequence<Stages...> sequence_;
  std::array<Index, depth + 1> widths_, offsets_;
  Vector parameters_;
};

namespace detail {

template <class Tuple>
struct NetworkOf;
template <class... T>
struct NetworkOf<std::tuple<T...>> {
  static_assert(
      requires { typename ScalarOf<T...>::Scalar; },
      "filigree: network(stages): needs a layer with a scalar, such as linear(in, out)");
  using type = Network<typename ScalarOf<T...>::Scalar, T...>;
};

/// Throws an Error if the targets do not have one row for each row of the network's outputs. `sequences` is the number
/// of sequences; 0: all samples are one sequence.
template <class Net>
void require_target_rows(const Net& net, Index samples, Index sequences, Index targets, const char* call) {
  Index pooled = (std::max)(sequences, Index{1});
  net.each_layer([&](const auto& layer, std::size_t, Index) {
    if constexpr (requires { layer.sequence_count(pooled); }) pooled = layer.sequence_count(pooled);
  });
  if (net.pools_sequences())
    require(targets == pooled, call, ": Y.rows() = ", targets, " must be the number of sequences, ", pooled,
            ", which the network pools");
  else
    require(targets == samples, call, ": Y.rows() = ", targets, " must equal X.rows() = ", samples);
}

}  // namespace detail

/// Makes a network of layers and stages: network(linear(64, 25) | sigmoid() | linear(25, 10), seed).
///
/// Any stage with a derivative can be a layer: maps with a derivative(), selectors, normalizers with a backward(),
/// dropout.
/// Throws  Error if the width of a layer does not match the preceding one
template <detail::Piped P>
auto network(P&& stages, std::uint64_t seed = 0) {
  auto tuple = detail::stages_of(std::forward<P>(stages));
  return typename detail::NetworkOf<decltype(tuple)>::type(std::move(tuple), seed);
}

}  // namespace filigree
