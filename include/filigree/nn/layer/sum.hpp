// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/nn/sequence.hpp"

namespace filigree {

namespace detail {
template <class L, Real S>
class SumState;
}

/// Branches with the same input, whose outputs are added. Each branch is a Sequence.
template <class... Branch>
struct Sum : detail::ScalarOf<Branch...> {
  using Category = Layer;
  template <Real S>
  using State = detail::SumState<Sum, S>;
  std::tuple<Branch...> branches;

  explicit Sum(Branch... all) : branches(std::move(all)...) {}

  [[nodiscard]] Index inputs() const { return detail::first_inputs(branches); }
  [[nodiscard]] Index outputs(Index width) const {
    Index out = -1;
    const auto check = [&](const auto& branch) {
      const Index cols = branch.outputs(width);
      detail::require(out < 0 || cols == out,
                      "sum(branches), residual(f): all branches must have as many outputs, got ", out, " and ", cols);
      out = cols;
    };
    std::apply([&](const auto&... branch) { (check(branch), ...); }, branches);
    return out;
  }
  [[nodiscard]] Index parameter_count() const {
    return std::apply([](const auto&... branch) { return (branch.parameter_count() + ...); }, branches);
  }
  template <Real S>
  void initialize(S* parameters, Generator& generator) const {
    each_layer(0, [&](const auto& layer, Index offset) { layer.initialize(parameters + offset, generator); });
  }
  template <class Net>
  void check_network(const Net& net) const {
    std::apply([&](const auto&... branch) { (branch.check_network(net), ...); }, branches);
  }
  [[nodiscard]] bool reads_network_input() const {
    return std::apply([](const auto&... branch) { return (branch.reads_network_input() || ...); }, branches);
  }
  // Calls f(layer, offset) for the layers with their parameters.
  template <class F>
  void each_layer(Index offset, F&& f) const {
    const auto visit = [&](const auto& branch) {
      branch.each_layer(offset, f);
      offset += branch.parameter_count();
    };
    std::apply([&](const auto&... branch) { (visit(branch), ...); }, branches);
  }
  // Describes the branches in a checkpoint.
  [[nodiscard]] std::string text() const {
    std::string all;
    std::apply([&](const auto&... branch) { ((all += (all.empty() ? "" : ", ") + branch.text()), ...); }, branches);
    return "sum(" + all + ")";
  }
};

namespace detail {

/// Sets the dense gradient dx to g, or adds g to it.
template <Real S>
void add_gradient(const Gradient<S>& g, Index n, Index cols, S* dx, bool add, const Session& session) {
  detail::for_each_rows(n, session, [&](Index first, Index last) {
    if (g.dense != nullptr && !add) {
      std::copy(g.dense + first * cols, g.dense + last * cols, dx + first * cols);
    } else if (g.dense != nullptr) {
      for (Index e = first * cols; e < last * cols; ++e) dx[e] += g.dense[e];
    } else {
      if (!add) std::fill(dx + first * cols, dx + last * cols, S(0));
      for (Index i = first; i < last; ++i)
        for (Index e = i * g.lists->stride; e < i * g.lists->stride + g.lists->counts[i]; ++e)
          dx[i * cols + g.lists->columns[e]] += g.lists->gradients[e];
    }
  });
}

template <Real S, class... Branch>
class SumState<Sum<Branch...>, S> {
  static constexpr std::size_t count = sizeof...(Branch);

 public:
  static constexpr bool adds_to_loss = (detail::adds_to_loss<State<Branch, S>> || ...);

  void forward(const Sum<Branch...>& layer, Context<S>& context) {
    Index offset = 0;
    with_indices<count>([&]<std::size_t... B>(std::index_sequence<B...>) {
      const auto run = [&](const auto& branch, auto& state, Activations<S>& out) {
        Context<S> inner = context.inside(offset, context.in, out);
        state.forward(branch, inner);
        offset += branch.parameter_count();
      };
      (run(std::get<B>(layer.branches), std::get<B>(states_), outs_[B]), ...);
    });
    const Index cols = outs_[0].cols;
    S* y = context.make_outputs(cols).data();
    for (std::size_t b = 0; b < count; ++b) {
      const S* from = outs_[b].rows(context.session).data();
      context.for_each_rows([&](Index first, Index last) {
        if (b == 0)
          std::copy(from + first * cols, from + last * cols, y + first * cols);
        else
          for (Index e = first * cols; e < last * cols; ++e) y[e] += from[e];
      });
    }
  }

  Gradient<S> backward(const Sum<Branch...>& layer, Context<S>& context) {
    const bool has_gradient = context.gradient != nullptr;
    const Index n = context.in.n, in = context.in.cols, size = n * context.out.cols;
    const S* dy = has_gradient ? context.output_gradient().data() : nullptr;
    S* dx = has_gradient && context.needs_input_gradient ? dx_.get<S>((std::max)(n * in, Index{1})) : nullptr;
    Index offset = 0;
    with_indices<count>([&]<std::size_t... B>(std::index_sequence<B...>) {
      const auto run = [&](const auto& branch, auto& state, std::size_t b) {
        Context<S> inner = context.inside(offset, context.in, outs_[b]);
        offset += branch.parameter_count();
        if (has_gradient) {  // a branch may overwrite its copy of dy
          inner.dy = {.dense = dy_.get<S>((std::max)(size, Index{1}))};
          context.for_each_rows([&](Index first, Index last) {
            std::copy(dy + first * context.out.cols, dy + last * context.out.cols,
                      inner.dy.dense + first * context.out.cols);
          });
        }
        const Gradient<S> g = state.backward(branch, inner);
        if (dx != nullptr) add_gradient(g, n, in, dx, b > 0, context.session);
      };
      (run(std::get<B>(layer.branches), std::get<B>(states_), B), ...);
    });
    if (!has_gradient) return context.dy;
    return {.dense = dx};
  }

 private:
  std::tuple<State<Branch, S>...> states_;
  std::array<Activations<S>, count> outs_;
  Buffer dy_, dx_;
};

}  // namespace detail

/// Adds the outputs of branches with the same input: sum(linear(64, 10), relu() | linear(64, 10)).
///
/// Formula  f(x) + g(x) + ...
/// Cost     that of the branches, and one matrix of outputs for each of them
/// Throws   Error, in network(...), if the branches have different numbers of outputs
template <detail::Piped F, detail::Piped... G>
auto sum(F&& f, G&&... more) {
  return Sum(sequence(std::forward<F>(f)), sequence(std::forward<G>(more))...);
}

/// Adds the input to the output of layers: residual(layer_norm(64) | linear(64, 64)).
///
/// Formula    x + f(x)
/// Cost       that of f, and one more matrix of its outputs
/// Throws     Error, in network(...), if f has another number of outputs than of inputs
/// Reference  He et al., arXiv:1512.03385, equation 1
template <detail::Piped F>
auto residual(F&& f) {
  return Sum(Sequence<>(std::tuple<>()), sequence(std::forward<F>(f)));
}

}  // namespace filigree
