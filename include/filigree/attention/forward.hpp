// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "filigree/attention/gradients.hpp"

namespace filigree {

/// The result of forward(A * V): the output, and what backward(saved, dO) needs of the forward pass.
///
/// It refers to the operands of the product as the product does. Copies share their memory.
template <class A, class V>
class Saved {
  using Weights = std::remove_cvref_t<A>;
  static_assert(detail::ScoreWeights<A>, "filigree: forward(A * V): A must be a pipeline on scores(Q, K)");

 public:
  using Scalar = typename Weights::Scalar;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  Matrix out;  ///< A * V

  // Computes the product. This is the implementation of forward().
  explicit Saved(const detail::Product<A, V>& product) : state_(std::make_shared<State>(product)) {
    const Weights& a = state_->product.weights();
    const auto& v = state_->product.values();
    state_->product.check();
    out.resize(a.rows(), v.cols());
    const detail::Session session(a.execution());
    auto problem = a.source().bind();
    const Index first = a.first_row(), count = a.row_count();
    const detail::ProductSink<Scalar> sink{
        {out.data(), out.rows(), out.cols(), out.cols(), 1, detail::Assign::set},
        first,
        detail::bind_values<detail::ReadsPlainValues<Weights>, Scalar>(v, count, session)};
    detail::with_routed_stages(a, problem, session, [&](const auto& stages) {
      detail::save_rows(problem, state_->stages.emplace(stages), session, first, count, sink, state_->rows);
    });
  }

  // Computes the gradients. This is the implementation of backward(); d_lse is null or has a number for each row.
  template <class D>
  auto backward(const D& d_out, const Scalar* d_lse) const {
    const Weights& a = state_->product.weights();
    state_->product.check();
    return detail::product_gradients(
        a, state_->product.values(), d_out, d_lse,
        [&](const detail::Session& session, const auto& gradient, const auto& to, auto& parameters) {
          auto problem = a.source().bind();
          auto with_out = gradient;
          with_out.out = {out.data(), out.cols()};
          detail::differentiate(problem, *state_->stages, &state_->rows, session, a.first_row(), a.row_count(),
                                with_out, to, parameters);
        });
  }

 private:
  // The stages refer to those of the product.
  struct State {
    explicit State(const detail::Product<A, V>& p) : product(p) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    detail::Product<A, V> product;
    std::optional<typename detail::RoutedStages<Weights>::type> stages{};
    detail::SavedRows<Scalar> rows{};
  };

  std::shared_ptr<State> state_;
};

/// Computes A * V and keeps what its backward pass needs: for patterns two numbers for each row, for selectors the kept
/// pairs, and the choices of routers.
///
/// The operands must not change before backward(). The output has the bits of A * V.
/// Cost  that of A * V; memory n (dv + 2) for patterns and softmax, n k pairs for selections
template <class A, class V>
Saved<A, V> forward(const LazyDense<detail::Product<A, V>>& product) {
  return Saved<A, V>(product.impl());
}

/// Computes the gradients of L by Q, K and V from saved = forward(A * V) and dO, the gradient of L by saved.out. The
/// result is that of gradients(A * V, dO).
///
/// Throws  Error if the shape of dO is not that of the product, or if the operands were resized
template <class A, class V, DenseExpression D>
auto backward(const Saved<A, V>& saved, const D& d_out) {
  return saved.backward(d_out, nullptr);
}
/// The same with the gradient by the logsumexp of each row, as in gradients(A * V, dO, dlse).
template <class A, class V, DenseExpression D, DenseExpression L>
auto backward(const Saved<A, V>& saved, const D& d_out, const L& d_lse) {
  const auto numbers = detail::logsumexp_gradient<std::remove_cvref_t<A>>(d_lse, saved.out.rows());
  return saved.backward(d_out, numbers.data());
}

}  // namespace filigree
