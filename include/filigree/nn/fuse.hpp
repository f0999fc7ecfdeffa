// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>

#include "filigree/engine/selection.hpp"
#include "filigree/nn/layer/affine.hpp"
#include "filigree/nn/layer/dropout_state.hpp"
#include "filigree/nn/layer/jump_relu.hpp"
#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/layer/map_state.hpp"
#include "filigree/nn/layer/normalizer_state.hpp"
#include "filigree/nn/layer/penalize.hpp"
#include "filigree/nn/layer/pool.hpp"
#include "filigree/nn/layer/pooled_linear.hpp"
#include "filigree/nn/layer/selection_state.hpp"
#include "filigree/nn/layer/summed_linear.hpp"
#include "filigree/nn/penalty/l0_penalty.hpp"
#include "filigree/score_map/log1p_relu.hpp"
#include "filigree/select/top_k.hpp"

// Neighboring stages that run faster together. A specialization of Fused for stages is the state of all of them: the
// rule is that neighbors run together if there is one. forward(a, b, context) and backward(a, b, context) do what the
// states of the stages do one after another.

namespace filigree::detail {

/// The state of stages that run together.
template <Real S, class... T>
class Fused;

template <Real S, class T>
class Fused<S, T> : public State<T, S> {};

/// A linear layer whose outputs are mapped while they are in the cache.
template <Real S, class M>
  requires MapInPlace<M, S>
class Fused<S, Linear<S>, M> {
 public:
  static constexpr bool runs_in_batches = true;

  void forward(const Linear<S>& linear, const M& map, Context<S>& context) {
    const Grid grid = {.n = context.in.n, .m = linear.out};
    check_for<S>(map, grid);
    linear_.forward(linear, context,
                    [&](S* y, Index first, Index last) { State<M, S>::map(map, y, first, last, grid); });
  }
  Gradient<S> backward(const Linear<S>& linear, const M& map, Context<S>& context) {
    Context<S> mapped = context.inside(0, context.out, context.out);  // the derivative needs the outputs only
    context.dy = map_.backward(map, mapped);
    return linear_.backward(linear, context);
  }
  void sum_input_gradients(const Linear<S>& linear, const M&, Context<S>& context, S* to) {
    linear_.sum_input_gradients(linear, context, to);
  }

 private:
  LinearState<S> linear_;
  State<M, S> map_;
};

/// A linear layer and a selection of its k largest outputs, which need not store the outputs.
template <Real S>
class Fused<S, Linear<S>, TopK> {
 public:
  void forward(const Linear<S>& linear, const TopK& top_k, Context<S>& context) {
    if (top_k.k <= linear.out / 16 && !context.in.is_sparse() && linear.skip == 0) {
      z_.set_postponed(context.in.n, linear.out);
      select(linear, top_k, context);
      return;
    }
    Context<S> first = context.inside(0, context.in, z_), second = context.inside(0, z_, context.out);
    linear_.forward(linear, first);
    top_k_.forward(top_k, second);
  }
  Gradient<S> backward(const Linear<S>& linear, const TopK& top_k, Context<S>& context) {
    Context<S> first = context.inside(0, context.in, z_), second = context.inside(0, z_, context.out);
    first.dy = top_k_.backward(top_k, second);
    return linear_.backward(linear, first);
  }
  void sum_input_gradients(const Linear<S>& linear, const TopK&, Context<S>& context, S* to) {
    linear_.sum_input_gradients(linear, context, to);
  }

 private:
  class Selection : public State<TopK, S> {
   public:
    ListMemory<S>& memory() { return this->memory_; }
  };

  void select(const Linear<S>& linear, const TopK& top_k, Context<S>& context) {
    const Index n = context.in.n, cols = linear.out;
    ListMemory<S>& memory = top_k_.memory();
    memory.allocate(n, top_k.max_kept(cols));
    AffineProblem<S> problem = affine_problem(context.inputs(), context.parameters,
                                              context.parameters + linear.weight_count(), cols, context.session);
    const std::tuple<TopK> stages(top_k);
    const SelectionEngine<AffineProblem<S>, std::tuple<TopK>> engine(problem, stages, context.session, n);
    for_each_row(engine, 0, n, context.session, [&](const Row<S>& row, WorkerScratch&) { memory.store(row); });
    context.out.set_lists(cols, memory.lists());
  }

  LinearState<S> linear_;
  Selection top_k_;
  Activations<S> z_;
};

/// Thresholds and a penalty of their outputs: l0() in the penalty has a derivative with respect to the thresholds.
template <Real S, class P>
class Fused<S, JumpRelu<S>, Penalize<P>> {
 public:
  static constexpr bool adds_to_loss = true;

  void forward(const JumpRelu<S>& layer, const Penalize<P>&, Context<S>& context) { jump_.forward(layer, context); }
  Gradient<S> backward(const JumpRelu<S>& layer, const Penalize<P>& penalize, Context<S>& context) {
    Context<S> penalized = context.inside(0, context.out, context.out);
    context.dy = penalize_.backward(penalize, penalized);
    if (context.gradient == nullptr) return context.dy;
    double l0_factor = 0;
    each_term(penalize.penalty, 1, [&](const auto& term, double factor) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(term)>, L0>) l0_factor += factor;
    });
    return jump_.backward(layer, context, l0_factor);
  }

 private:
  JumpReluState<S> jump_;
  State<Penalize<P>, S> penalize_;
};

/// The state of linear | log1p_relu | pool_max or pool_sum.
template <Real S, Pooling pooling>
using PooledHead = std::conditional_t<pooling == Pooling::max, PooledLinear<S>, SummedLinear<S>>;

/// The head of a learned sparse encoder, which does not store the outputs of the linear layer.
template <Real S, Pooling pooling>
  requires(pooling == Pooling::max || pooling == Pooling::sum)
class Fused<S, Linear<S>, Log1pRelu, Pool<pooling>> {
 public:
  void forward(const Linear<S>& linear, const Log1pRelu&, const Pool<pooling>& pool, Context<S>& context) {
    head_.forward(linear, pool, context, context.out);
  }
  Gradient<S> backward(const Linear<S>& linear, const Log1pRelu&, const Pool<pooling>&, Context<S>& context) {
    return head_.backward(linear, context, context.out, context.dy);
  }

 private:
  PooledHead<S, pooling> head_;
};

/// The head, and a selection of its k largest outputs.
template <Real S, Pooling pooling>
  requires(pooling == Pooling::max || pooling == Pooling::sum)
class Fused<S, Linear<S>, Log1pRelu, Pool<pooling>, TopK> {
 public:
  void forward(const Linear<S>& linear, const Log1pRelu&, const Pool<pooling>& pool, const TopK& top_k,
               Context<S>& context) {
    head_.forward(linear, pool, context, pooled_);
    Context<S> last = context.inside(0, pooled_, context.out);
    top_k_.forward(top_k, last);
  }
  Gradient<S> backward(const Linear<S>& linear, const Log1pRelu&, const Pool<pooling>&, const TopK& top_k,
                       Context<S>& context) {
    Context<S> last = context.inside(0, pooled_, context.out);
    return head_.backward(linear, context, pooled_, top_k_.backward(top_k, last));
  }

 private:
  PooledHead<S, pooling> head_;
  Activations<S> pooled_;
  State<TopK, S> top_k_;
};

template <class S, class... T>
concept RunTogether = requires {
  sizeof(Fused<S, T...>);
};

}  // namespace filigree::detail
