// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <tuple>
#include <utility>

#include "filigree/nn/linear.hpp"
#include "filigree/nn/step.hpp"
#include "filigree/pipe/widen.hpp"

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

  /// Lets samples through stages [first, last).
  template <std::size_t first, std::size_t last, class Net, class X>
  void run(const Net& net, const X& x, const Way& way) {
    Flow<S>& in = flows_[first];
    copy(x, in.fill(x.rows(), x.cols()), way.session);
    at_[first] = &in;
    [&]<std::size_t... L>(std::index_sequence<L...>) { (advance<first + L, last>(net, way), ...); }
    (std::make_index_sequence<last - first>{});
  }

  /// What stands before stage L, or behind the last.
  [[nodiscard]] Flow<S>& at(std::size_t l) { return *at_[l]; }

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
    } else {
      if (gradient == nullptr) return slope;
      return std::get<L>(steps_).backward(stage, net.parameters().data() + net.offset(L), in, out, slope,
                                          gradient + net.offset(L), L > 0, way);
    }
  }

  /// Copies an expression into rows.
  template <class X>
  static void copy(const X& x, S* to, const Session& session) {
    const Reader<X> reader(x);
    for_each_rows(x.rows(), session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) read_row(reader, i, to + i * x.cols());
    });
  }

 private:
  /// Whether stage L, of those before `last`, is a linear layer from whose outputs the next one chooses.
  template <std::size_t L, std::size_t last>
  static constexpr bool is_chosen_from() {
    if constexpr (L + 1 < last)
      return std::same_as<StageAt<L>, Linear<S>> && std::same_as<StageAt<L + 1>, TopK>;
    else
      return false;
  }
  template <std::size_t L>
  static constexpr bool may_choose_from() {
    if constexpr (L > 0)
      return is_chosen_from<L - 1, depth>();
    else
      return false;
  }

  template <std::size_t L, std::size_t last, class Net>
  void advance(const Net& net, const Way& way) {
    const auto& stage = net.template stage<L>();
    const S* parameters = net.parameters().data() + net.offset(L);
    auto& step = std::get<L>(steps_);
    Flow<S>&in = at(L), &out = flows_[L + 1];
    at_[L + 1] = &out;
    if constexpr (is_penalize<StageAt<L>>) {
      at_[L + 1] = &in;
    } else if constexpr (std::same_as<StageAt<L>, Dropout>) {
      if (way.training)
        step.forward(stage, parameters, in, out, way);
      else
        at_[L + 1] = &in;
    } else if constexpr (is_chosen_from<L, last>()) {
      if (std::get<L + 1>(steps_).fuses(net.template stage<L + 1>(), stage.out) && !in.sparse())
        out.postpone(in.n, stage.out);
      else
        step.forward(stage, parameters, in, out, way);
    } else if constexpr (may_choose_from<L>()) {
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

  std::array<Flow<S>, depth + 1> flows_;
  std::array<Flow<S>*, depth + 1> at_{};
  std::tuple<Step<T, S>...> steps_;
  std::array<Buffer, depth> spread_;  // slopes that penalties add to
};

}  // namespace filigree::detail
