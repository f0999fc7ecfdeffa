// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <tuple>
#include <utility>

#include "filigree/nn/network.hpp"

namespace filigree {

/// Goes through a network and back, in memory that it keeps: after the first time for a number of samples, it allocates
/// nothing. Results are the same bits for any number of threads.
template <class Net>
class Pass {
 public:
  using S = typename Net::Scalar;
  using Vector = typename Net::Vector;
  static constexpr std::size_t depth = Net::depth;

  explicit Pass(const Net&, ExecutorRef executor = {}) : executor_(executor) {}

  /// The loss of samples X for targets Y: the objective's terms, and the penalties in the network.
  ///
  /// `draw` numbers the draws of dropout: the same number drops the same.
  /// Shapes  X: N x inputs, Y: N x outputs, of the network's scalar or of half or bfloat16
  /// Throws  Error if a shape does not fit
  template <DenseExpression X, DenseExpression Y, Term Objective>
  double loss(const Net& net, const X& x, const Y& y, const Objective& objective, std::uint64_t draw = 0) {
    return run(net, x, y, objective, nullptr, draw);
  }

  /// The same, and its gradient by the parameters. The value is that of loss() up to rounding: a compiler that may
  /// contract products and sums (g++ -march=native) need not do it alike in both.
  template <DenseExpression X, DenseExpression Y, Term Objective>
  double gradient(const Net& net, const X& x, const Y& y, const Objective& objective, Vector& gradient,
                  std::uint64_t draw = 0) {
    gradient.resize(net.parameters().size());
    return run(net, x, y, objective, gradient.data(), draw);
  }

 private:
  using Rows = detail::ConstRows<S>;

  template <class X, class Y, class Objective>
  double run(const Net& net, const X& x, const Y& y, const Objective& objective, S* gradient, std::uint64_t draw) {
    static_assert(StoredReal<typename X::Scalar, S> && StoredReal<typename Y::Scalar, S>,
                  "filigree: pass: X and Y must have the scalar of the network; cast them with .cast<>()");
    static_assert(!TermOf<Objective, Penalty>,
                  "filigree: the objective needs a loss of outputs, such as squared_error(); a penalty of activations "
                  "stands in the network: penalize(l1())");
    detail::require(x.cols() == net.inputs(), "pass: X.cols() = ", x.cols(), " must be the network's inputs, ",
                    net.inputs());
    detail::require(y.cols() == net.outputs(), "pass: Y.cols() = ", y.cols(), " must be the network's outputs, ",
                    net.outputs());
    detail::require(y.rows() == x.rows(), "pass: Y.rows() = ", y.rows(), " must equal X.rows() = ", x.rows());
    const detail::Session session(detail::Execution{executor_, &workspace_});
    n_ = x.rows();
    at_[0] = copy(x, memory_[0], session);
    [&]<std::size_t... L>(std::index_sequence<L...>) { (forward<L>(net, draw, session), ...); }
    (std::make_index_sequence<depth>{});

    const Rows outputs = rows(net, depth), target(copy(y, target_, session), n_, y.cols());
    S* slope = nullptr;
    if (gradient != nullptr) {
      slope = slopes_[0].get<S>((std::max)(n_ * widest(net), Index{1}));  // null would mean values alone
      std::fill_n(slope, n_ * y.cols(), S(0));
    }
    double value = 0;
    detail::each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), Loss>) value += term.add(outputs, target, factor, slope, session);
      static_assert(!TermOf<decltype(term), Penalty>,
                    "filigree: a penalty of activations stands in the network, not in the objective: penalize(l1())");
    });
    [&]<std::size_t... L>(std::index_sequence<L...>) {
      (backward<depth - 1 - L>(net, slope, gradient, value, session), ...);
    }
    (std::make_index_sequence<depth>{});
    detail::each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), Decay>)
        net.each_layer([&](const auto& layer, std::size_t l) {
          value += term.add(net.parameters().data() + net.offset(l), layer.weights(), factor,
                            gradient != nullptr ? gradient + net.offset(l) : nullptr);
        });
    });
    return value;
  }

  template <class X>
  const S* copy(const X& x, detail::Buffer& memory, const detail::Session& session) const {
    S* to = memory.get<S>(x.size());
    const detail::Reader<X> reader(x);
    detail::for_each_rows(x.rows(), session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) detail::read_row(reader, i, to + i * x.cols());
    });
    return to;
  }

  [[nodiscard]] Rows rows(const Net& net, std::size_t l) const { return {at_[l], n_, net.width(l)}; }
  [[nodiscard]] Index widest(const Net& net) const {
    Index most = 0;
    for (std::size_t l = 0; l <= depth; ++l) most = (std::max)(most, net.width(l));
    return most;
  }

  template <std::size_t L>
  void forward(const Net& net, std::uint64_t draw, const detail::Session& session) {
    using T = std::tuple_element_t<L, typename Net::StageTuple>;
    if constexpr (detail::is_penalize<T>) {
      at_[L + 1] = at_[L];
    } else {
      S* y = memory_[L + 1].template get<S>(n_ * net.width(L + 1));
      if constexpr (detail::OwnLayer<T>)
        net.template stage<L>().forward(net.parameters().data() + net.offset(L), rows(net, L), y, session);
      else
        std::get<L>(steps_).forward(net.template stage<L>(), rows(net, L), y, draw, session);
      at_[L + 1] = y;
    }
  }

  /// `slope` is the derivative by what stage L puts out, and becomes that by what it takes; null: values alone.
  template <std::size_t L>
  void backward(const Net& net, S*& slope, S* gradient, double& value, const detail::Session& session) {
    using T = std::tuple_element_t<L, typename Net::StageTuple>;
    const auto& stage = net.template stage<L>();
    if constexpr (detail::is_penalize<T>) {
      value += stage.add(rows(net, L), slope, session);
    } else {
      if (slope == nullptr) return;
      const Index room = (std::max)(n_ * widest(net), Index{1});
      S* const other = slopes_[slope == slopes_[0].template get<S>(room) ? 1 : 0].template get<S>(room);
      if constexpr (detail::OwnLayer<T>)
        stage.backward(net.parameters().data() + net.offset(L), rows(net, L), Rows(slope, n_, net.width(L + 1)),
                       L > 0 ? other : nullptr, gradient + net.offset(L), session);
      else
        std::get<L>(steps_).backward(stage, rows(net, L), at_[L + 1], slope, other, session);
      slope = other;
    }
  }

  template <class... T>
  static std::tuple<detail::Step<T, S>...> steps_for(const std::tuple<T...>*);

  ExecutorRef executor_;
  Workspace workspace_;
  Index n_ = 0;
  std::array<detail::Buffer, depth + 1> memory_;
  std::array<const S*, depth + 1> at_{};  // what each stage takes, and the outputs
  detail::Buffer target_;
  std::array<detail::Buffer, 2> slopes_;  // taking turns
  decltype(steps_for(static_cast<typename Net::StageTuple*>(nullptr))) steps_;
};

}  // namespace filigree
