// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
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
    return rows_of(compute(x));
  }
  /// Returns the outputs for sequences of different lengths.
  template <class X, class M>
  Eigen::Map<const Matrix> operator()(const Batch<X, M>& x) {
    return rows_of(compute(x));
  }
  /// Writes the outputs to `out`, which is resized.
  template <class X>
  void operator()(const X& x, Matrix& out) {
    out = (*this)(x);
  }

  /// Returns the outputs that are not 0 as a sparse matrix, such as after top_k(k).
  ///
  /// Shapes  X: N x inputs, result: N x outputs, by rows
  /// Throws  Error if X.cols() is not the number of inputs
  template <class X>
  Eigen::SparseMatrix<S, Eigen::RowMajor> sparse(const X& x) {
    const Activations<S>& y = compute(x);
    Eigen::SparseMatrix<S, Eigen::RowMajor> result(y.n, y.cols);
    const auto insert = [&](Index i, Index j, S value) {
      if (value != 0) result.insertBackByOuterInner(i, j) = value;
    };
    for (Index i = 0; i < y.n; ++i) {
      result.startVec(i);
      if (y.has_lists())
        for (Index e = i * y.lists.stride; e < i * y.lists.stride + y.lists.counts[i]; ++e)
          insert(i, y.lists.columns[e], y.lists.values[e]);
      else
        for (Index j = 0; j < y.cols; ++j) insert(i, j, y.data[i * y.cols + j]);
    }
    result.finalize();
    return result;
  }

 private:
  using NetworkPass = typename detail::NetworkPassOf<S, detail::no_boundary, typename Net::StageTuple>::type;

  Eigen::Map<const Matrix> rows_of(Activations<S>& outputs) {
    return outputs.rows(detail::Session(detail::Execution{executor_, &workspace_}));
  }
  template <Samples X>
  Activations<S>& compute(const X& x) {
    return run(x, detail::Slice<Index>(), "predictor(X)");
  }
  template <class X, class M>
  Activations<S>& compute(const Batch<X, M>& x) {
    return run(detail::tokens_of<S>(x), detail::lengths_of(x), "predictor(Batch{tokens, lengths})");
  }
  template <class X, class L>
  Activations<S>& run(const X& x, const L& lengths, const char* call) {
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
    return pass_.infer(*net, net->stages(), 0, x, session, lengths);
  }

  const Net& net_;
  std::optional<Net> constrained_;  // a copy that satisfies the constraints, if the parameters do not
  ExecutorRef executor_;
  Workspace workspace_;
  NetworkPass pass_;
};

}  // namespace filigree
