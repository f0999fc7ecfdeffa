// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <optional>
#include <utility>

#include "data.hpp"
#include "top_k_attention.hpp"

namespace bench {

/// Returns the product of a problem, computed by a pool in a workspace.
template <class Head>
auto attention_product(const Problem& p, const Head& head, fg::Workspace& workspace, fg::ThreadPool& pool) {
  return (fg::scores(p.q, p.k) | head).with(workspace).on(pool) * p.v;
}

/// The backward pass of (scores(Q, K) | head) * V from what the forward pass saved. Its work is 10 d operations for
/// each pair that is kept, for d = dv: the scores again, and four products more.
template <class Head>
class BackwardPass {
 public:
  BackwardPass(const Problem& p, Head head, double pairs, Index threads = 1)
      : p_(p), head_(std::move(head)), pairs_(pairs), pool_(threads), d_out_(normal(p.q.rows(), p.v.cols(), 31)) {
    saved_.emplace(fg::forward(attention_product(p_, head_, workspace_, pool_)));
  }

  void run() {
    gradients_ = fg::backward(*saved_, d_out_);
    keep(gradients_->q.data());
  }

  /// Returns true if some rows of dQ agree with the formula in double precision, and sums of dK and dV with identities:
  /// the weights of a row sum to 1, and <dQ, Q> = <dK, K>.
  bool is_right() {
    run();
    const Index n = p_.q.rows();
    const auto a = fg::scores(p_.q, p_.k) | head_;
    for (const Index i : {Index{0}, n / 3, n - 1}) {
      Eigen::SparseMatrix<float, Eigen::RowMajor> w = a.middleRows(i, 1);
      double mean = 0;
      Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(p_.q.cols());
      const auto each = [&](const auto& f) {
        for (decltype(w)::InnerIterator e(w, 0); e; ++e)
          f(static_cast<double>(e.value()), e.col(),
            d_out_.row(i).template cast<double>().dot(p_.v.row(e.col()).template cast<double>()));
      };
      each([&](double weight, Index, double d) { mean += weight * d; });
      each([&](double weight, Index c, double d) { sum += weight * (d - mean) * p_.k.row(c).template cast<double>(); });
      sum /= std::sqrt(static_cast<double>(p_.q.cols()));
      if (!gradients_->q.row(i).template cast<double>().isApprox(sum, 1e-4)) return false;
    }
    const auto dot = [](const auto& x, const auto& y) {
      return (x.template cast<double>().array() * y.template cast<double>().array()).sum();
    };
    return gradients_->v.colwise().sum().isApprox(d_out_.colwise().sum(), 1e-3F) &&
           std::abs(dot(gradients_->q, p_.q) / dot(gradients_->k, p_.k) - 1) < 1e-2;
  }

  [[nodiscard]] double flop() const { return 10 * pairs_ * static_cast<double>(p_.q.cols()); }

 private:
  using Saved =
      decltype(fg::forward(attention_product(std::declval<const Problem&>(), std::declval<const Head&>(),
                                             std::declval<fg::Workspace&>(), std::declval<fg::ThreadPool&>())));
  using Gradients = decltype(fg::backward(std::declval<const Saved&>(), std::declval<const Matrix&>()));

  const Problem& p_;
  Head head_;
  double pairs_;
  fg::ThreadPool pool_;
  fg::Workspace workspace_;
  Matrix d_out_;
  std::optional<Saved> saved_;
  std::optional<Gradients> gradients_;
};

/// The forward pass that keeps what the backward pass needs.
template <class Head>
class SavedForwardPass {
 public:
  SavedForwardPass(const Problem& p, Head head) : p_(p), head_(std::move(head)) {}

  void run() {
    saved_.emplace(fg::forward((fg::scores(p_.q, p_.k) | head_).with(workspace_) * p_.v));
    keep(saved_->out.data());
  }
  bool is_right() {
    run();
    return saved_->out == Matrix((fg::scores(p_.q, p_.k) | head_) * p_.v);
  }

 private:
  using Saved = decltype(fg::forward(
      (fg::scores(std::declval<const Problem&>().q, std::declval<const Problem&>().k) | std::declval<const Head&>())
          .with(std::declval<fg::Workspace&>()) *
      std::declval<const Problem&>().v));

  const Problem& p_;
  Head head_;
  fg::Workspace workspace_;
  std::optional<Saved> saved_;
};

}  // namespace bench
