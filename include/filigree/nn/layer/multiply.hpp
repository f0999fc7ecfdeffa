// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "filigree/nn/layer/branches.hpp"

namespace filigree {

namespace detail {
template <class L, Real S>
class MultiplyState;
}

/// Two branches with the same input, whose outputs are multiplied. Each branch is a Sequence.
template <class F, class G>
struct Multiply : detail::Branches<F, G> {
  template <Real S>
  using State = detail::MultiplyState<Multiply, S>;

  Multiply(F f, G g) : detail::Branches<F, G>(std::move(f), std::move(g)) {}

  [[nodiscard]] Index outputs(Index width) const { return this->common_outputs(width, "multiply(f, g)"); }
  // Describes the branches in a checkpoint.
  [[nodiscard]] std::string text() const { return "multiply(" + this->branches_text() + ")"; }
};

namespace detail {

template <Real S, class F, class G>
class MultiplyState<Multiply<F, G>, S> {
 public:
  static constexpr bool adds_to_loss = detail::adds_to_loss<State<F, S>> || detail::adds_to_loss<State<G, S>>;

  void forward(const Multiply<F, G>& layer, Context<S>& context) {
    const auto& [f, g] = layer.branches;
    Context<S> first = context.inside(0, context.in, f_out_),
               second = context.inside(f.parameter_count(), context.in, g_out_);
    f_.forward(f, first);
    g_.forward(g, second);
    const Index cols = f_out_.cols;
    const S *const a = f_out_.rows(context.session).data(), *const b = g_out_.rows(context.session).data();
    S* const y = context.make_outputs(cols).data();
    context.for_each_rows([&](Index begin, Index end) {
      for (Index e = begin * cols; e < end * cols; ++e) y[e] = a[e] * b[e];
    });
  }

  Gradient<S> backward(const Multiply<F, G>& layer, Context<S>& context) {
    const auto& [f, g] = layer.branches;
    Context<S> first = context.inside(0, context.in, f_out_),
               second = context.inside(f.parameter_count(), context.in, g_out_);
    if (context.gradient == nullptr) {
      f_.backward(f, first);
      g_.backward(g, second);
      return context.dy;
    }
    const Index n = context.in.n, cols = context.out.cols, in = context.in.cols;
    const S* dy = context.output_gradient().data();
    const S *const a = f_out_.rows(context.session).data(), *const b = g_out_.rows(context.session).data();
    S* const da = f_dy_.get<S>((std::max)(n * cols, Index{1}));
    S* const db = g_dy_.get<S>((std::max)(n * cols, Index{1}));
    context.for_each_rows([&](Index begin, Index end) {
      for (Index e = begin * cols; e < end * cols; ++e) {
        da[e] = dy[e] * b[e];
        db[e] = dy[e] * a[e];
      }
    });
    first.dy = {.dense = da};
    second.dy = {.dense = db};
    const Gradient<S> by_f = f_.backward(f, first), by_g = g_.backward(g, second);
    if (!context.needs_input_gradient) return {};
    S* const dx = dx_.get<S>((std::max)(n * in, Index{1}));
    add_gradient(by_f, n, in, dx, false, context.session);
    add_gradient(by_g, n, in, dx, true, context.session);
    return {.dense = dx};
  }

 private:
  State<F, S> f_;
  State<G, S> g_;
  Activations<S> f_out_, g_out_;
  Buffer f_dy_, g_dy_, dx_;
};

}  // namespace detail

/// Multiplies the outputs of two branches with the same input: multiply(linear(64, 256) | silu(), linear(64, 256)).
///
/// Formula    f(x) · g(x), entry by entry
/// Cost       that of the branches, and one matrix of outputs for each of them
/// Throws     Error, in network(...), if the branches have different numbers of outputs
/// Reference  Dauphin et al., arXiv:1612.08083, equation 1
template <detail::Piped F, detail::Piped G>
auto multiply(F&& f, G&& g) {
  return Multiply(sequence(std::forward<F>(f)), sequence(std::forward<G>(g)));
}

}  // namespace filigree
