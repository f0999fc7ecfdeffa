// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <tuple>
#include <utility>

#include "filigree/nn/gated.hpp"
#include "filigree/nn/l0.hpp"
#include "filigree/nn/linear.hpp"
#include "filigree/nn/pre_bias.hpp"
#include "filigree/nn/residual_pass.hpp"
#include "filigree/nn/samples.hpp"
#include "filigree/nn/step.hpp"

namespace filigree::detail {

/// The way through the stages of a network, and what is remembered of it.
template <Real S, class Stages>
class Forward;
template <Real S, class... T>
class Forward<S, std::tuple<T...>> {
 public:
  static constexpr std::size_t depth = sizeof...(T);
  template <std::size_t L>
  using StageAt = std::tuple_element_t<L, std::tuple<T...>>;

  Forward() {
    for (std::size_t l = 0; l <= depth; ++l) at_[l] = &flows_[l];
  }

  /// Lets samples through stages [first, last).
  template <std::size_t first, std::size_t last, class Net, class X>
  void run(const Net& net, const X& x, const Way& way) {
    Flow<S>& in = flows_[first];
    load(x, in, way.session);
    at_[first] = &in;
    [&]<std::size_t... L>(std::index_sequence<L...>) { (advance<first + L, last>(net, way), ...); }
    (std::make_index_sequence<last - first>{});
  }

  /// What stands before stage L, or behind the last.
  [[nodiscard]] Flow<S>& at(std::size_t l) { return *at_[l]; }
  [[nodiscard]] const Flow<S>& at(std::size_t l) const { return *at_[l]; }

  /// Where the last stages begin that may take some samples at a time: linear layers, and maps that take the place of
  /// their input, behind whatever makes codes.
  template <class Net>
  static constexpr std::size_t tail() {
    constexpr bool takes_some[] = {(is_linear<T> || MapInPlace<T, S>)...};
    std::size_t begin = depth;
    while (begin > 0 && takes_some[begin - 1] && !are_codes_at<Net>(begin)) --begin;
    return begin;
  }

  /// Lets what has come to the tail through it and back, some samples at a time, so that they stay in the cache.
  /// loss(outputs, first) is the slope by the outputs of samples `first` and following; returns that by the tail's
  /// inputs.
  template <class Net, class F>
  Slope<S> there_and_back(const Net& net, bool by_sample, S* gradient, double& value, const Way& way, F&& loss) {
    constexpr std::size_t begin = tail<Net>();
    Flow<S>& all = at(begin);
    const Index n = all.n, some = by_sample ? samples_at_once(net) : n;
    const auto through = [&](Index first, const Way& with) {
      return [&]<std::size_t... L>(std::index_sequence<L...>) {
        (advance<begin + L, depth>(net, with), ...);
        Slope<S> slope = loss(at(depth).rows(with.session), first);
        ((slope = back<depth - 1 - L>(net, slope, gradient, value, with)), ...);
        return slope;
      }
      (std::make_index_sequence<depth - begin>{});
    };
    if (some >= n) return through(0, way);
    const ConstRows<S> in = all.rows(way.session);
    Slope<S> slopes;
    if (begin > (begins_centred ? 1 : 0) && gradient != nullptr)
      slopes.all = tail_slopes_.template get<S>(n * in.cols());
    Way with = way;
    const struct Whole {  // even if a loss throws
      Flow<S>*& at;
      Flow<S>& all;
      ~Whole() { at = &all; }
    } whole{at_[begin], all};
    at_[begin] = &some_;
    for (Index first = 0; first < n; first += some) {
      const Index count = (std::min)(some, n - first), size = count * in.cols();
      some_.refer(count, in.cols(), in.data() + first * in.cols());
      const Slope<S> slope = through(first, with);
      if (slopes.all != nullptr) std::copy_n(slope.all, size, slopes.all + first * in.cols());
      with.adds = true;
    }
    return slopes;
  }

  /// What is left of `slope`, by what stage L put out, before stage L: the same way back. Writes the gradient of the
  /// stage's parameters, and adds what penalties amount to.
  template <std::size_t L, class Net>
  Slope<S> back(const Net& net, const Slope<S>& slope, S* gradient, double& value, const Way& way) {
    const auto& stage = net.template stage<L>();
    Flow<S>&in = at(L), &out = at(L + 1);
    if constexpr (is_penalize<StageAt<L>>) {
      if (gradient == nullptr) {
        value += stage.add(in.rows(way.session), static_cast<S*>(nullptr), way.session);
        return slope;
      }
      S* all = spread(slope, in.n, in.cols, spread_[L], way.session).data();
      value += stage.add(in.rows(way.session), all, way.session);
      return {.all = all};
    } else if constexpr (is_pre_bias<L>()) {
      if (gradient != nullptr) add_to_bias(net, gradient, way);
      return slope;
    } else {
      if (gradient == nullptr) return slope;
      if constexpr (is_linear<StageAt<L>>)
        if (stage.skip > 0) std::get<L>(steps_).backward_skip(stage, at(0), out, slope, gradient + net.offset(L), way);
      constexpr bool further = L > 1 || (L == 1 && !is_pre_bias<0>());
      Way with = way;
      with.l0 = l0_behind<L>(net);
      return std::get<L>(steps_).backward(stage, net.parameters().data() + net.offset(L), in, out, slope,
                                          gradient + net.offset(L), further, with);
    }
  }

  /// What an autoencoder's losses of codes amount to; they add to the slope of the codes and the decoder's gradient.
  template <class Net, class Objective>
  double add_code_losses(const Net& net, const Objective& objective, const ConstRows<S>& target, const Slope<S>& slope,
                         S* gradient, const Way& way) {
    double value = 0;
    each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), CodeLoss>)
        value += add_code_loss(term, factor, net, target, slope, gradient, way);
    });
    return value;
  }

  /// What losses of residuals amount to, when the ways through all layers are done; they add to the gradients.
  template <class Net, class Objective>
  double add_residual_losses(const Net& net, const Objective& objective, const ConstRows<S>& target,
                             const IdleLatents& idle, S* gradient, const Way& way) {
    double value = 0;
    each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), ResidualLoss>)
        value += add_residual_loss(term, factor, net, target, idle, gradient, way);
    });
    return value;
  }

  static constexpr bool begins_centred = std::same_as<StageAt<0>, PreBias>;

 private:
  /// How many samples fit into the second-level cache in front of all stages of the tail, if that is enough for
  /// products to be worth their packing; else all.
  template <class Net>
  Index samples_at_once(const Net& net) const {
    constexpr std::size_t begin = tail<Net>();
    Index numbers = 0;
    bool skips = false;
    for (std::size_t l = begin; l <= depth; ++l) numbers += net.width(l);
    net.each_layer([&](const auto& layer, std::size_t l) {
      if constexpr (is_linear<std::remove_cvref_t<decltype(layer)>>) skips = skips || (l >= begin && layer.skip > 0);
    });
    // A constant, and no share of the caches: biases' gradients are rounded after each batch.
    const Index fit = 768 * 1024 / (numbers * static_cast<Index>(sizeof(S))) / rows_per_task * rows_per_task;
    return fit < 512 || skips || at(begin).sparse() ? at(begin).n : fit;
  }

  template <class X>
  void load(const X& x, Flow<S>& in, const Session& session) {
    if constexpr (is_sparse_samples<X>) {
      list_samples(x, input_);
      in.keep(x.cols(), input_.lists());
    } else if (const S* there = in_place<S>(x); there != nullptr) {
      in.refer(x.rows(), x.cols(), there);
    } else {
      copy_samples(x, in.fill(x.rows(), x.cols()), session);
    }
  }

  template <class T0, class Net>
  double add_code_loss(const T0& term, double factor, const Net& net, const ConstRows<S>& target, const Slope<S>& slope,
                       S* gradient, const Way& way) {
    static_assert(is_linear<StageAt<depth - 1>> && are_codes<depth - 1, Net>(),
                  "filigree: this loss is one of codes: it needs an autoencoder whose decoder is one linear layer");
    const Index at = net.offset(depth - 1), weights = net.template stage<depth - 1>().weights();
    require(
        net.template stage<depth - 1>().skip == 0,
        "pass: a loss of codes, such as matryoshka or gate_reconstruction, needs a decoder without a skip connection");
    const S* parameters = net.parameters().data() + at;
    CodePass<S> codes = {.flow = this->at(depth - 1),
                         .weights = parameters,
                         .biases = parameters + weights,
                         .target = target,
                         .weight_gradient = gradient != nullptr ? gradient + at : nullptr,
                         .bias_gradient = gradient != nullptr ? gradient + at + weights : nullptr,
                         .slope = slope,
                         .gates = nullptr,
                         .memory = code_memory_,
                         .by_column = by_column_,
                         .session = way.session};
    if constexpr (depth > 1)
      if constexpr (is_gated<StageAt<depth - 2>>) codes.gates = &std::get<depth - 2>(steps_).gates();
    return term.add(codes, factor);
  }

  template <class T0, class Net>
  double add_residual_loss(const T0& term, double factor, const Net& net, const ConstRows<S>& target,
                           const IdleLatents& idle, S* gradient, const Way& way) {
    constexpr std::size_t encoder = begins_centred ? 1 : 0, decoder = depth - 1;
    static_assert(is_linear<StageAt<encoder>> && is_linear<StageAt<decoder>> && encoder < decoder,
                  "filigree: this loss is one of residuals: it needs an autoencoder of two linear layers, the first of "
                  "which stands at the beginning or behind pre_bias()");
    const S* first = net.parameters().data() + net.offset(encoder);
    const Index weights = net.template stage<encoder>().weights();
    const auto in = [&](Index at) { return gradient != nullptr ? gradient + at : nullptr; };
    ResidualPass<S> pass = {.inputs = at(encoder).rows(way.session),
                            .outputs = at(depth).rows(way.session),
                            .target = target,
                            .encoder = first,
                            .encoder_biases = first + weights,
                            .decoder = net.parameters().data() + net.offset(decoder),
                            .encoder_gradient = in(net.offset(encoder)),
                            .encoder_bias_gradient = in(net.offset(encoder) + weights),
                            .decoder_gradient = in(net.offset(decoder)),
                            .latents = net.template stage<encoder>().out,
                            .idle = idle,
                            .memory = residual_memory_,
                            .session = way.session};
    return term.add(pass, factor);
  }

  /// The factor of l0() in a penalty right behind stage L.
  template <std::size_t L, class Net>
  static double l0_behind(const Net& net) {
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
      if constexpr (L == 0 && depth > 2)
        static_assert((is_linear<StageAt<1>> || is_gated<StageAt<1>>)&&is_linear<StageAt<depth - 1>>,
                      "filigree: pre_bias(): the stage after it must be a linear layer or gated, the last one linear");
      else
        static_assert(!sizeof(S), "filigree: pre_bias(): it is the first stage of an autoencoder");
      return true;
    } else {
      return false;
    }
  }

  template <class Net>
  void subtract_bias(const Net& net, Flow<S>& in, Flow<S>& out, const Way& way) const {
    const S* bias = net.template biases<depth - 1>().data();
    const ConstRows<S> x = in.rows(way.session);
    S* y = out.fill(in.n, in.cols);
    for_each_rows(in.n, way.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < in.cols; ++j) y[i * in.cols + j] = x(i, j) - bias[j];
    });
  }
  /// What the bias gains from being subtracted: minus the sum over samples of the slopes by the inputs of stage 1,
  /// which is its weights times the gradient of its biases.
  template <class Net>
  void add_to_bias(const Net& net, S* gradient, const Way& way) const {
    const auto& linear = net.template stage<1>();
    const S* weights = net.parameters().data() + net.offset(1);
    const S* slopes = gradient + net.offset(1) + linear.weights();
    if constexpr (is_gated<StageAt<1>>) slopes = std::get<1>(steps_).column_sums();
    S* bias = gradient + net.offset(depth - 1) + net.template stage<depth - 1>().weights();
    for_each_rows(linear.in, way.session, [&](Index first, Index last) {
      Column rows[rows_per_task] = {};
      S sums[rows_per_task];
      for (Index i = first; i < last; ++i) rows[i - first] = static_cast<Column>(i);
      kernel::kernels<S>().dots(sums, slopes, rows, last - first, weights, linear.out, linear.out);
      for (Index f = first; f < last; ++f) bias[f] -= sums[f - first];
    });
  }

  /// Whether stage L, of those before `last`, is a linear layer from whose outputs the next one chooses.
  template <std::size_t L, std::size_t last, class Net>
  static constexpr bool is_chosen_from() {
    if constexpr (L + 1 < last)
      return std::same_as<StageAt<L>, Linear<S>> && std::same_as<StageAt<L + 1>, TopK> && !are_codes<L + 1, Net>();
    else
      return false;
  }
  template <std::size_t L, class Net>
  static constexpr bool may_choose_from() {
    if constexpr (L > 0)
      return is_chosen_from<L - 1, depth, Net>();
    else
      return false;
  }
  /// Whether stage L, of those before `last`, is a linear layer whose outputs the next one maps where they lie.
  template <std::size_t L, std::size_t last, class Net>
  static constexpr bool is_mapped() {
    if constexpr (L + 1 < last)
      return is_linear<StageAt<L>> && MapInPlace<StageAt<L + 1>, S> && !are_codes<L + 1, Net>();
    else
      return false;
  }
  template <std::size_t L, class Net>
  static constexpr bool is_mapped_before() {
    if constexpr (L > 0)
      return is_mapped<L - 1, depth, Net>();
    else
      return false;
  }
  /// Whether what stands before stage l are codes, which somebody may look at.
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
  void advance(const Net& net, const Way& way) {
    const auto& stage = net.template stage<L>();
    const S* parameters = net.parameters().data() + net.offset(L);
    auto& step = std::get<L>(steps_);
    Flow<S>&in = at(L), &out = flows_[L + 1];
    at_[L + 1] = &out;
    if constexpr (is_penalize<StageAt<L>> || is_mapped_before<L, Net>()) {
      at_[L + 1] = &in;
    } else if constexpr (is_mapped<L, last, Net>()) {
      const auto& map = net.template stage<L + 1>();
      const Grid grid = {.n = in.n, .m = stage.out};
      check(map, grid);
      step.forward(stage, parameters, at(0), in, out, way,
                   [&](S* y, Index begin, Index end) { Step<StageAt<L + 1>, S>::map(map, y, begin, end, grid); });
    } else if constexpr (is_pre_bias<L>()) {
      subtract_bias(net, in, out, way);
    } else if constexpr (std::same_as<StageAt<L>, Dropout>) {
      if (way.training)
        step.forward(stage, parameters, in, out, way);
      else
        at_[L + 1] = &in;
    } else if constexpr (is_chosen_from<L, last, Net>()) {
      if (std::get<L + 1>(steps_).fuses(net.template stage<L + 1>(), stage.out) && !in.sparse() && stage.skip == 0)
        out.postpone(in.n, stage.out);
      else
        step.forward(stage, parameters, at(0), in, out, way, [](S*, Index, Index) {});
    } else if constexpr (is_linear<StageAt<L>>) {
      step.forward(stage, parameters, at(0), in, out, way, [](S*, Index, Index) {});
    } else if constexpr (may_choose_from<L, Net>()) {
      if (in.postponed()) {
        const auto& linear = net.template stage<L - 1>();
        const S* weights = net.parameters().data() + net.offset(L - 1);
        step.forward_from(stage, weights, weights + linear.weights(), at(L - 1), linear.out, out, way);
      } else {
        step.forward(stage, parameters, in, out, way);
      }
    } else {
      step.forward(stage, parameters, in, out, way);
    }
  }

  ListMemory<S> input_;  // sparse samples
  std::array<Flow<S>, depth + 1> flows_;
  std::array<Flow<S>*, depth + 1> at_{};
  std::tuple<Step<T, S>...> steps_;
  std::array<Buffer, depth> spread_;  // slopes that penalties add to
  Flow<S> some_;                      // samples that go through the tail
  Buffer tail_slopes_;
  std::array<Buffer, 2> code_memory_;
  ByColumn<S> by_column_;
  ResidualMemory<S> residual_memory_;
};

}  // namespace filigree::detail
