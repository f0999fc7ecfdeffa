// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

#include "filigree/core/with_indices.hpp"
#include "filigree/nn/layer/branches.hpp"

namespace filigree {

namespace detail {
template <class L, Real S>
class SumState;
}

/// Branches with the same input, whose outputs are added. Each branch is a Sequence.
template <class... Branch>
struct Sum : detail::Branches<Branch...> {
  template <Real S>
  using State = detail::SumState<Sum, S>;

  explicit Sum(Branch... all) : detail::Branches<Branch...>(std::move(all)...) {}

  [[nodiscard]] Index outputs(Index width) const { return this->common_outputs(width, "sum(branches), residual(f)"); }
  // Describes the branches in a checkpoint.
  [[nodiscard]] std::string text() const { return "sum(" + this->branches_text() + ")"; }
};

namespace detail {

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
