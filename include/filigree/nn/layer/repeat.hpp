// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/core/list.hpp"
#include "filigree/nn/sequence.hpp"

namespace filigree {

/// Options of repeat().
struct repeat_options {
  bool recompute = false;  ///< keeps only the inputs of the copies, and computes each copy again in the backward pass
};

namespace detail {
template <class L, Real S>
class RepeatState;
}

/// Copies of a layer, one after another, each with parameters of its own, or layers of the same type.
template <class L>
struct Repeat : detail::ScalarOf<L> {
  using Category = Layer;
  template <Real S>
  using State = detail::RepeatState<L, S>;
  detail::List<L> layers;  // one for each copy
  Index count;
  repeat_options options;

  Repeat(detail::List<L> all, repeat_options o) : layers(std::move(all)), count(layers.size()), options(o) {
    for (const L& layer : layers)
      detail::require(layer.parameter_count() == layers[0].parameter_count(), "repeat(count, f): all layers must have ",
                      "as many parameters, got ", layers[0].parameter_count(), " and ", layer.parameter_count());
  }

  [[nodiscard]] Index inputs() const { return layers[0].inputs(); }
  [[nodiscard]] Index outputs(Index width) const {
    Index out = width;
    for (const L& layer : layers) {
      out = layer.outputs(width);
      detail::require(!detail::pools_sequences(layer), "repeat(count, layers): the layers cannot pool sequences; pool ",
                      "after them");
      detail::require(count == 1 || out == width, "repeat(count, layers): the layers turn ", width, " columns into ",
                      out, ", and cannot be repeated");
    }
    return out;
  }
  [[nodiscard]] Index parameter_count() const { return count * layers[0].parameter_count(); }
  template <Real S>
  void initialize(S* parameters, Generator& generator) const {
    each_layer(0, [&](const auto& one, Index offset) { one.initialize(parameters + offset, generator); });
  }
  template <class Net>
  void check_network(const Net& net) const {
    for (const L& layer : layers) layer.check_network(net);
  }
  [[nodiscard]] bool reads_network_input() const {
    return std::any_of(layers.begin(), layers.end(), [](const L& layer) { return layer.reads_network_input(); });
  }
  // Calls f(layer, offset) for the layers of all copies with their parameters.
  template <class F>
  void each_layer(Index offset, F&& f) const {
    for (Index i = 0; i < count; ++i) layers[i].each_layer(offset + i * layers[i].parameter_count(), f);
  }
  template <class F>
  void each_layer(Index offset, F&& f) {
    for (Index i = 0; i < count; ++i) layers[i].each_layer(offset + i * layers[i].parameter_count(), f);
  }
  // Describes the layers in a checkpoint. Equal layers are described once.
  [[nodiscard]] std::string text() const {
    const std::string first = layers[0].text();
    std::string others;
    bool equal = true;
    for (Index i = 1; i < count; ++i) {
      others += ", " + layers[i].text();
      equal = equal && layers[i].text() == first;
    }
    return detail::text_of("repeat(", count, ", ", first, equal ? "" : others, ")");
  }
};

/// Repeats layers, each copy with parameters of its own: repeat(6, transformer_layer(...)).
///
/// dropout() drops other entries in each copy.
/// Formula    f_count(... f_2(f_1(x)))
/// Cost       count times that of the layers. {.recompute = true} takes the memory of one copy and of count matrices of
///            inputs, and one more forward pass
/// Throws     Error if count is below 1; in network(...), if the layers have another number of outputs than of inputs
/// Reference  recomputation: Chen et al., arXiv:1604.06174
template <detail::Piped P>
auto repeat(Index count, P&& layers, const repeat_options& options = {}) {
  detail::require(count >= 1, "repeat(count, layers): count must be at least 1, got ", count);
  using L = decltype(sequence(std::forward<P>(layers)));
  return Repeat<L>(detail::List<L>(count, sequence(std::forward<P>(layers))), options);
}

/// Makes layers of the same type that differ in their options, one after another: repeat(6, f), where f(i) returns the
/// layers with number i.
///
/// Formula    f_count(... f_2(f_1(x)))
/// Throws     Error if count is below 1, or the layers have different numbers of parameters; in network(...), as above
template <class F>
  requires(std::invocable<const std::decay_t<F>&, Index> && !detail::Piped<F>)
auto repeat(Index count, F&& f, const repeat_options& options = {}) {
  detail::require(count >= 1, "repeat(count, f): count must be at least 1, got ", count);
  using L = decltype(sequence(f(Index{0})));
  detail::List<L> all;
  for (Index i = 0; i < count; ++i) all.push_back(sequence(f(i)));
  return Repeat<L>(std::move(all), options);
}

namespace detail {

template <class L, Real S>
class RepeatState {
 public:
  static constexpr bool adds_to_loss = detail::adds_to_loss<State<L, S>>;

  void forward(const Repeat<L>& repeat, Context<S>& context) {
    const bool recompute = repeat.options.recompute;
    while (states_.size() < (recompute ? 1 : repeat.count)) states_.grow();
    while (between_.size() < repeat.count - 1) between_.grow();
    for (Index i = 0; i < repeat.count; ++i) {
      const bool is_last = i + 1 == repeat.count;
      Activations<S>& out = is_last ? context.out : recompute ? out_ : between_[i];
      Context<S> inner = inside(repeat, context, i, out);
      states_[recompute ? 0 : i].forward(repeat.layers[i], inner);
      if (recompute && !is_last) {
        const ConstRows<S> rows = out.rows(context.session);
        S* const to = between_[i].set_dense(rows.rows(), rows.cols());
        context.for_each_rows([&](Index first, Index last) {
          std::copy(rows.data() + first * rows.cols(), rows.data() + last * rows.cols(), to + first * rows.cols());
        });
      }
    }
  }

  Gradient<S> backward(const Repeat<L>& repeat, Context<S>& context) {
    const bool recompute = repeat.options.recompute;
    Gradient<S> dy = context.dy;
    for (Index i = repeat.count - 1; i >= 0; --i) {
      const bool is_last = i + 1 == repeat.count;
      Activations<S>& out = is_last ? context.out : recompute ? out_ : between_[i];
      Context<S> inner = inside(repeat, context, i, out);
      State<L, S>& state = states_[recompute ? 0 : i];
      if (recompute && !is_last) {
        keep(dy, context);
        state.forward(repeat.layers[i], inner);
      }
      inner.dy = dy;
      inner.needs_input_gradient = i > 0 || context.needs_input_gradient;
      dy = state.backward(repeat.layers[i], inner);
    }
    return dy;
  }

 private:
  /// Moves a gradient out of the memory of the state, which the next forward pass overwrites.
  void keep(Gradient<S>& dy, const Context<S>& context) {
    if (dy.dense == nullptr && dy.lists == nullptr) return;
    const Index n = context.in.n, cols = context.out.cols;
    S* const kept = gradient_.get<S>((std::max)(n * cols, Index{1}));
    const S* const from = to_dense(dy, n, cols, expanded_, context.session).data();
    if (from != kept) std::copy_n(from, n * cols, kept);
    dy = {.dense = kept};
  }
  Context<S> inside(const Repeat<L>& repeat, const Context<S>& context, Index i, Activations<S>& out) {
    Context<S> inner =
        context.inside(i * repeat.layers[i].parameter_count(), i == 0 ? context.in : between_[i - 1], out);
    inner.draw = Generator(context.draw, static_cast<std::uint64_t>(i)).bits64();
    return inner;
  }

  StableList<State<L, S>> states_;
  StableList<Activations<S>> between_;
  Activations<S> out_;
  Buffer gradient_, expanded_;
};

}  // namespace detail
}  // namespace filigree
