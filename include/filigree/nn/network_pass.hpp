// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/with_indices.hpp"
#include "filigree/nn/layer/gated.hpp"
#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/layer/pre_bias.hpp"
#include "filigree/nn/loss/code_pass.hpp"
#include "filigree/nn/loss/residual_pass.hpp"
#include "filigree/nn/penalty/l0_penalty.hpp"
#include "filigree/nn/samples.hpp"
#include "filigree/nn/state.hpp"

namespace filigree::detail {

/// A forward and backward pass through the stages of a network, with the activations between them.
template <Real S, class Stages>
class NetworkPass;
template <Real S, class... T>
class NetworkPass<S, std::tuple<T...>> {
 public:
  static constexpr std::size_t depth = sizeof...(T);
  template <std::size_t L>
  using StageAt = std::tuple_element_t<L, std::tuple<T...>>;

  NetworkPass() {
    for (std::size_t l = 0; l <= depth; ++l) at_[l] = &activations_[l];
  }

  /// Runs samples forward through stages [first, last).
  template <std::size_t first, std::size_t last, class Net, class X>
  void run(const Net& net, const X& x, const Context& context) {
    Activations<S>& in = activations_[first];
    load(x, in, context.session);
    at_[first] = &in;
    with_indices<last - first>([&]<std::size_t... L>(std::index_sequence<L...>) {
      (forward<first + L, last>(net, context), ...);
    });
  }

  /// Returns the input of stage l. For l = depth, returns the output of the network.
  [[nodiscard]] Activations<S>& at(std::size_t l) { return *at_[l]; }
  [[nodiscard]] const Activations<S>& at(std::size_t l) const { return *at_[l]; }

  /// Returns the first stage of the tail: the last stages that can run in batches of samples. These are linear layers
  /// and in-place maps after the codes.
  template <class Net>
  static constexpr std::size_t tail() {
    constexpr bool runs_in_batches[] = {(is_linear<T> || MapInPlace<T, S>)...};
    std::size_t begin = depth;
    while (begin > 0 && runs_in_batches[begin - 1] && !are_codes_at<Net>(begin)) --begin;
    return begin;
  }

  /// Runs the tail forward and backward in batches of samples that fit into the cache.
  ///
  /// loss(outputs, first) returns the gradient with respect to the outputs of a batch that begins with sample `first`.
  /// Returns the gradient with respect to the inputs of the tail.
  template <class Net, class F>
  Gradient<S> forward_backward(const Net& net, bool by_sample, S* gradient, double& value, const Context& context,
                               F&& loss) {
    constexpr std::size_t begin = tail<Net>();
    Activations<S>& all = at(begin);
    const Index n = all.n, batch = by_sample ? tail_batch(net) : n;
    const auto run_batch = [&](Index first, const Context& batch_context) {
      return with_indices<depth - begin>([&]<std::size_t... L>(std::index_sequence<L...>) {
        (forward<begin + L, depth>(net, batch_context), ...);
        Gradient<S> dy = loss(at(depth).rows(batch_context.session), first);
        ((dy = backward<depth - 1 - L>(net, dy, gradient, value, batch_context)), ...);
        return dy;
      });
    };
    if (batch >= n) return run_batch(0, context);
    const ConstRows<S> in = all.rows(context.session);
    Gradient<S> gradients;
    if (begin > (begins_centered ? 1 : 0) && gradient != nullptr)
      gradients.dense = tail_gradients_.get<S>(n * in.cols());
    Context batch_context = context;
    const struct Restore {  // also if a loss throws
      Activations<S>*& at;
      Activations<S>& all;
      ~Restore() { at = &all; }
    } restore{at_[begin], all};
    at_[begin] = &batch_input_;
    for (Index first = 0; first < n; first += batch) {
      const Index count = (std::min)(batch, n - first), size = count * in.cols();
      batch_input_.set_view(count, in.cols(), in.data() + first * in.cols());
      const Gradient<S> dy = run_batch(first, batch_context);
      if (gradients.dense != nullptr) std::copy_n(dy.dense, size, gradients.dense + first * in.cols());
      batch_context.accumulate = true;
    }
    return gradients;
  }

  /// Backpropagates dy, the gradient with respect to the output of stage L, and returns the gradient with respect to
  /// its input. Writes the gradient of the parameters of the stage. Adds the values of penalties to `value`.
  template <std::size_t L, class Net>
  Gradient<S> backward(const Net& net, const Gradient<S>& dy, S* gradient, double& value, const Context& context) {
    const auto& stage = net.template stage<L>();
    Activations<S>&in = at(L), &out = at(L + 1);
    if constexpr (is_penalize<StageAt<L>>) {
      if (gradient == nullptr) {
        value += stage.add(in.rows(context.session), static_cast<S*>(nullptr), context.session);
        return dy;
      }
      S* dense_dy = to_dense(dy, in.n, in.cols, dense_[L], context.session).data();
      value += stage.add(in.rows(context.session), dense_dy, context.session);
      return {.dense = dense_dy};
    } else if constexpr (is_pre_bias<L>()) {
      if (gradient != nullptr) add_to_bias(net, gradient, context);
      return dy;
    } else {
      if (gradient == nullptr) return dy;
      if constexpr (is_linear<StageAt<L>>)
        if (stage.skip > 0)
          std::get<L>(states_).backward_skip(stage, at(0), out, dy, gradient + net.offset(L), context);
      constexpr bool needs_input_gradient = L > 1 || (L == 1 && !is_pre_bias<0>());
      Context batch_context = context;
      batch_context.l0 = l0_factor_after<L>(net);
      return std::get<L>(states_).backward(stage, net.parameters().data() + net.offset(L), in, out, dy,
                                           gradient + net.offset(L), needs_input_gradient, batch_context);
    }
  }

  /// Returns the sum of the losses of codes of an autoencoder. They add to the gradients of the codes and of the
  /// decoder.
  template <class Net, class Objective>
  double add_code_losses(const Net& net, const Objective& objective, const ConstRows<S>& target, const Gradient<S>& dy,
                         S* gradient, const Context& context) {
    double value = 0;
    each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), CodeLoss>)
        value += add_code_loss(term, factor, net, target, dy, gradient, context);
    });
    return value;
  }

  /// Returns the sum of the losses of residuals, after the backward pass of all layers. They add to the gradients of
  /// the parameters.
  template <class Net, class Objective>
  double add_residual_losses(const Net& net, const Objective& objective, const ConstRows<S>& target,
                             const LatentUse& use, S* gradient, const Context& context) {
    double value = 0;
    each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), ResidualLoss>)
        value += add_residual_loss(term, factor, net, target, use, gradient, context);
    });
    return value;
  }

  static constexpr bool begins_centered = std::same_as<StageAt<0>, PreBias>;

 private:
  /// Returns the number of samples whose activations in the tail fit into the second-level cache. Returns all samples
  /// if that number is too small to amortize the packing of products.
  template <class Net>
  Index tail_batch(const Net& net) const {
    constexpr std::size_t begin = tail<Net>();
    Index numbers = 0;
    bool skips = false;
    for (std::size_t l = begin; l <= depth; ++l) numbers += net.width(l);
    net.each_layer([&](const auto& layer, std::size_t l) {
      if constexpr (is_linear<std::remove_cvref_t<decltype(layer)>>) skips = skips || (l >= begin && layer.skip > 0);
    });
    // The size is a constant that does not depend on the caches of the machine, because the gradients of biases are
    // rounded after each batch.
    const Index fit = 768 * 1024 / (numbers * static_cast<Index>(sizeof(S))) / rows_per_task * rows_per_task;
    return fit < 512 || skips || at(begin).is_sparse() ? at(begin).n : fit;
  }

  template <class X>
  void load(const X& x, Activations<S>& in, const Session& session) {
    if constexpr (is_sparse_samples<X>) {
      list_samples(x, input_);
      in.set_lists(x.cols(), input_.lists());
    } else if (const S* data = in_place<S>(x); data != nullptr) {
      in.set_view(x.rows(), x.cols(), data);
    } else {
      copy_samples(x, in.set_dense(x.rows(), x.cols()), session);
    }
  }

  template <class T0, class Net>
  double add_code_loss(const T0& term, double factor, const Net& net, const ConstRows<S>& target, const Gradient<S>& dy,
                       S* gradient, const Context& context) {
    static_assert(
        is_linear<StageAt<depth - 1>> && are_codes<depth - 1, Net>(),
        "filigree: this loss is computed from codes: it needs an autoencoder whose decoder is one linear layer");
    const Index at = net.offset(depth - 1), weights = net.template stage<depth - 1>().weight_count();
    require(
        net.template stage<depth - 1>().skip == 0,
        "pass: a loss of codes, such as matryoshka or gate_reconstruction, needs a decoder without a skip connection");
    const S* parameters = net.parameters().data() + at;
    CodePass<S> codes = {.activations = this->at(depth - 1),
                         .weights = parameters,
                         .biases = parameters + weights,
                         .target = target,
                         .weight_gradient = gradient != nullptr ? gradient + at : nullptr,
                         .bias_gradient = gradient != nullptr ? gradient + at + weights : nullptr,
                         .dy = dy,
                         .gates = nullptr,
                         .memory = code_memory_,
                         .by_column = by_column_,
                         .session = context.session};
    if constexpr (depth > 1)
      if constexpr (is_gated<StageAt<depth - 2>>) codes.gates = &std::get<depth - 2>(states_).gates();
    return term.add(codes, factor);
  }

  template <class T0, class Net>
  double add_residual_loss(const T0& term, double factor, const Net& net, const ConstRows<S>& target,
                           const LatentUse& use, S* gradient, const Context& context) {
    constexpr std::size_t encoder = begins_centered ? 1 : 0, decoder = depth - 1;
    static_assert(is_linear<StageAt<encoder>> && is_linear<StageAt<decoder>> && encoder < decoder,
                  "filigree: this loss is computed from residuals: it needs an autoencoder of two linear layers, the "
                  "first of them at the beginning or right after pre_bias()");
    const S* first = net.parameters().data() + net.offset(encoder);
    const Index weights = net.template stage<encoder>().weight_count();
    const auto in = [&](Index at) { return gradient != nullptr ? gradient + at : nullptr; };
    ResidualPass<S> pass = {.inputs = at(encoder).rows(context.session),
                            .outputs = at(depth).rows(context.session),
                            .target = target,
                            .encoder = first,
                            .encoder_biases = first + weights,
                            .decoder = net.parameters().data() + net.offset(decoder),
                            .encoder_gradient = in(net.offset(encoder)),
                            .encoder_bias_gradient = in(net.offset(encoder) + weights),
                            .decoder_gradient = in(net.offset(decoder)),
                            .latents = net.template stage<encoder>().out,
                            .use = use,
                            .memory = residual_memory_,
                            .session = context.session};
    return term.add(pass, factor);
  }

  /// Returns the factor of l0() in a penalty right after stage L.
  template <std::size_t L, class Net>
  static double l0_factor_after(const Net& net) {
    double sum = 0;
    if constexpr (L + 1 < depth)
      if constexpr (is_penalize<StageAt<L + 1>>)
        each_term(net.template stage<L + 1>().penalty, 1, [&](const auto& term, double factor) {
          if constexpr (std::same_as<std::remove_cvref_t<decltype(term)>, L0>) sum += factor;
        });
    return sum;
  }

  template <std::size_t L>
  static constexpr bool is_pre_bias() {
    if constexpr (std::same_as<StageAt<L>, PreBias>) {
      if constexpr (L == 0 && depth > 2) {
        constexpr bool has_encoder = is_linear<StageAt<1>> || is_gated<StageAt<1>>;
        static_assert(has_encoder && is_linear<StageAt<depth - 1>>,
                      "filigree: pre_bias(): the stage after it must be a linear layer or gated, the last one linear");
      } else {
        static_assert(!sizeof(S), "filigree: pre_bias(): must be the first stage of an autoencoder");
      }
      return true;
    } else {
      return false;
    }
  }

  template <class Net>
  void subtract_bias(const Net& net, Activations<S>& in, Activations<S>& out, const Context& context) const {
    const S* bias = net.template biases<depth - 1>().data();
    const ConstRows<S> x = in.rows(context.session);
    S* y = out.set_dense(in.n, in.cols);
    for_each_rows(in.n, context.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < in.cols; ++j) y[i * in.cols + j] = x(i, j) - bias[j];
    });
  }
  /// Adds the gradient of the subtracted bias: minus the sum over samples of the gradients with respect to the inputs
  /// of stage 1. This sum equals the weights of stage 1 times the gradient of its biases.
  template <class Net>
  void add_to_bias(const Net& net, S* gradient, const Context& context) const {
    const auto& linear = net.template stage<1>();
    const S* weights = net.parameters().data() + net.offset(1);
    const S* gradients = gradient + net.offset(1) + linear.weight_count();
    if constexpr (is_gated<StageAt<1>>) gradients = std::get<1>(states_).column_sums();
    S* bias = gradient + net.offset(depth - 1) + net.template stage<depth - 1>().weight_count();
    for_each_rows(linear.in, context.session, [&](Index first, Index last) {
      Column rows[rows_per_task] = {};
      S sums[rows_per_task];
      for (Index i = first; i < last; ++i) rows[i - first] = static_cast<Column>(i);
      kernel::kernels<S>().dots(sums, gradients, rows, last - first, weights, linear.out, linear.out);
      for (Index f = first; f < last; ++f) bias[f] -= sums[f - first];
    });
  }

  /// True if stage L is a linear layer, the next stage is top_k, and both are in stages [0, last).
  template <std::size_t L, std::size_t last, class Net>
  static constexpr bool is_linear_before_top_k() {
    if constexpr (L + 1 < last)
      return std::same_as<StageAt<L>, Linear<S>> && std::same_as<StageAt<L + 1>, TopK> && !are_codes<L + 1, Net>();
    else
      return false;
  }
  template <std::size_t L, class Net>
  static constexpr bool is_top_k_after_linear() {
    if constexpr (L > 0)
      return is_linear_before_top_k<L - 1, depth, Net>();
    else
      return false;
  }
  /// True if stage L is a linear layer, the next stage maps its outputs in place, and both are in stages [0, last).
  template <std::size_t L, std::size_t last, class Net>
  static constexpr bool is_linear_before_map() {
    if constexpr (L + 1 < last)
      return is_linear<StageAt<L>> && MapInPlace<StageAt<L + 1>, S> && !are_codes<L + 1, Net>();
    else
      return false;
  }
  template <std::size_t L, class Net>
  static constexpr bool is_map_after_linear() {
    if constexpr (L > 0)
      return is_linear_before_map<L - 1, depth, Net>();
    else
      return false;
  }
  /// True if the input of stage l is the codes of an autoencoder, which the caller may read.
  template <class Net>
  static constexpr bool are_codes_at(std::size_t l) {
    if constexpr (requires { Net::code; })
      return l == Net::code;
    else
      return false;
  }
  template <std::size_t L, class Net>
  static constexpr bool are_codes() {
    return are_codes_at<Net>(L);
  }

  template <std::size_t L, std::size_t last, class Net>
  void forward(const Net& net, const Context& context) {
    const auto& stage = net.template stage<L>();
    const S* parameters = net.parameters().data() + net.offset(L);
    auto& state = std::get<L>(states_);
    Activations<S>&in = at(L), &out = activations_[L + 1];
    at_[L + 1] = &out;
    if constexpr (is_penalize<StageAt<L>> || is_map_after_linear<L, Net>()) {
      at_[L + 1] = &in;
    } else if constexpr (is_linear_before_map<L, last, Net>()) {
      const auto& map = net.template stage<L + 1>();
      const Grid grid = {.n = in.n, .m = stage.out};
      check(map, grid);
      state.forward(stage, parameters, at(0), in, out, context,
                    [&](S* y, Index begin, Index end) { State<StageAt<L + 1>, S>::map(map, y, begin, end, grid); });
    } else if constexpr (is_pre_bias<L>()) {
      subtract_bias(net, in, out, context);
    } else if constexpr (std::same_as<StageAt<L>, Dropout>) {
      if (context.training)
        state.forward(stage, parameters, in, out, context);
      else
        at_[L + 1] = &in;
    } else if constexpr (is_linear_before_top_k<L, last, Net>()) {
      if (std::get<L + 1>(states_).fuses(net.template stage<L + 1>(), stage.out) && !in.is_sparse() && stage.skip == 0)
        out.set_postponed(in.n, stage.out);
      else
        state.forward(stage, parameters, at(0), in, out, context, [](S*, Index, Index) {});
    } else if constexpr (is_linear<StageAt<L>>) {
      state.forward(stage, parameters, at(0), in, out, context, [](S*, Index, Index) {});
    } else if constexpr (is_top_k_after_linear<L, Net>()) {
      if (in.is_postponed()) {
        const auto& linear = net.template stage<L - 1>();
        const S* weights = net.parameters().data() + net.offset(L - 1);
        state.forward_from(stage, weights, weights + linear.weight_count(), at(L - 1), linear.out, out, context);
      } else {
        state.forward(stage, parameters, in, out, context);
      }
    } else {
      state.forward(stage, parameters, in, out, context);
    }
  }

  ListMemory<S> input_;  // sparse samples
  std::array<Activations<S>, depth + 1> activations_;
  std::array<Activations<S>*, depth + 1> at_{};
  std::tuple<State<T, S>...> states_;
  std::array<Buffer, depth> dense_;  // gradients to which penalties add
  Activations<S> batch_input_;       // input of the tail for one batch
  Buffer tail_gradients_;
  std::array<Buffer, 2> code_memory_;
  ByColumn<S> by_column_;
  ResidualMemory<S> residual_memory_;
};

}  // namespace filigree::detail
