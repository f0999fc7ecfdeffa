// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "filigree/nn/network.hpp"

namespace filigree {

/// Computes the outputs of a network, and keeps its memory between calls.
///
/// network(X) allocates activations and a result in each call; after the first call of a size, a predictor allocates
/// nothing, apart from the plans of attention(). Its results are the bits of network(X), for any number of threads. The
/// network must outlive it; parameters may change between calls.
template <class Net>
class Predictor {
 public:
  using S = typename Net::Scalar;
  using Matrix = typename Net::Matrix;

  explicit Predictor(const Net& net, ExecutorRef executor = {}) : net_(net), executor_(executor) {}

  /// Returns the outputs for samples as rows, in memory of the predictor. They are valid until the next call.
  ///
  /// Shapes  X: N x inputs, result: N x outputs
  /// Throws  Error if X.cols() is not the number of inputs
  template <Samples X>
  Eigen::Map<const Matrix> operator()(const X& x) {
    return run(x, detail::Slice<Index>(), "predictor(X)");
  }
  /// Returns the outputs for sequences of different lengths.
  template <class X, class M>
  Eigen::Map<const Matrix> operator()(const Batch<X, M>& x) {
    return run(detail::tokens_of<S>(x), detail::lengths_of(x), "predictor(Batch{tokens, lengths})");
  }
  /// Writes the outputs to `out`, which is resized.
  template <class X>
  void operator()(const X& x, Matrix& out) {
    out = (*this)(x);
  }

 private:
  using NetworkPass = typename detail::NetworkPassOf<S, detail::no_boundary, typename Net::StageTuple>::type;

  template <class X, class L>
  Eigen::Map<const Matrix> run(const X& x, const L& lengths, const char* call) {
    static_assert(StoredReal<typename X::Scalar, S>,
                  "filigree: predictor(X): X must have the scalar of the network; cast it with .cast<>()");
    detail::require(x.cols() == net_.inputs(), call, ": X.cols() = ", x.cols(), " must be ", net_.inputs());
    detail::require_valid_samples(x, call);
    const Net* net = &net_;
    if (!net_.is_constrained()) {
      if (constrained_)
        constrained_->parameters() = net_.parameters();
      else
        constrained_.emplace(net_);
      constrained_->constrain();
      net = &*constrained_;
    }
    const detail::Session session(detail::Execution{executor_, &workspace_});
    return pass_.infer(*net, net->stages(), 0, x, session, lengths).rows(session);
  }

  const Net& net_;
  std::optional<Net> constrained_;  // a copy that satisfies the constraints, if the parameters do not
  ExecutorRef executor_;
  Workspace workspace_;
  NetworkPass pass_;
};

}  // namespace filigree
