// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>

#include "filigree/attention/selected.hpp"
#include "filigree/recommend/gram.hpp"

namespace filigree {

namespace detail {

/// Computes the result of recommendations: write(u, scores) writes the scores of all items of user u.
template <Real S, class X, class F>
Selected<S> best_unseen(const X& seen, Index k, const Session& session, F&& write) {
  const Index items = seen.cols(), width = (std::min)(k, items);
  constexpr Index users_per_task = 16;
  Selected<S> result;
  result.columns.setConstant(seen.rows(), width, -1);
  result.weights.setZero(seen.rows(), width);
  if (width == 0) return result;
  const Dependent<Eigen::SparseMatrix<typename X::Scalar, Eigen::RowMajor>, X> rows(seen);
  session.run(ceil_div(seen.rows(), users_per_task), [&](Index task, Index worker) {
    ScratchFrame frame(session.scratch(worker));
    S* const scores = frame.take<S>(items + Row<S>::padding);
    S* const values = frame.take<S>(items + Row<S>::padding);
    Column* const columns = frame.take<Column>(items + Row<S>::padding);
    for (Index u = task * users_per_task; u < (std::min)((task + 1) * users_per_task, seen.rows()); ++u) {
      write(u, scores);
      const auto [begin, end] = entries_of(rows, u);
      for (Index e = begin; e < end; ++e)
        if (rows.valuePtr()[e] != 0) scores[rows.innerIndexPtr()[e]] = -std::numeric_limits<S>::infinity();
      const Index count = kernel::kernels<S>().copy_top_k(scores, items, width, values, columns);
      for_each_descending(values, count, [&](Index position, Index e) {
        result.columns(u, position) = columns[e];
        result.weights(u, position) = values[e];
      });
    }
  });
  return result;
}

template <class B, class X>
void require_item_weights(const B& weights, const X& x, Index k) {
  const char* const call = "recommendations(X, B, k)";
  require(k >= 1, call, ": k must be at least 1, got ", k);
  require(weights.rows() == x.cols() && weights.cols() == x.cols(), call, ": B must be ", x.cols(), " x ", x.cols(),
          ", with a row and a column for each item of X, is ", weights.rows(), " x ", weights.cols());
  require_interactions(x, call);
}

}  // namespace detail

/// Returns for each user the k items with the largest scores x B among those that the user has not seen.
///
/// An item is seen if its entry of X is not 0. B is the result of ease() or slim(), or any matrix of item weights.
/// Shapes     X: users x items, B: items x items, dense or sparse; result: users x min(k, items), in descending order
/// Cost       2 · (entries of X) · items operations with dense B, 2 · the paths user - item - item with sparse B;
///            O(items) memory for each thread: the scores of all users are never stored
/// Edge case  ties go to the lowest item; a user with fewer than k unseen items gets -1, with score 0, for the others
/// Throws     Error if k < 1, B has another shape, an entry of X or B is not finite, or indices do not ascend
template <Interactions X, class B>
  requires(DenseExpression<B> || SparseSamples<B>)
auto recommendations(const X& x, const B& weights, Index k, ExecutorRef executor = {}) {
  using S = typename X::Scalar;
  static_assert(std::same_as<typename B::Scalar, S>,
                "filigree: recommendations(X, B, k): X and B must have the same scalar; cast one with .cast<>()");
  detail::require_item_weights(weights, x, k);
  const detail::Session session(detail::Execution{.executor = executor});
  const detail::Dependent<Eigen::SparseMatrix<S, Eigen::RowMajor>, X> rows(x);
  const auto accumulate = [&](Index u, S* scores, const auto& add_row) {
    std::fill_n(scores, x.cols(), S(0));
    const auto [begin, end] = detail::entries_of(rows, u);
    for (Index e = begin; e < end; ++e) add_row(Index{rows.innerIndexPtr()[e]}, rows.valuePtr()[e], scores);
  };
  if constexpr (SparseSamples<B>) {
    if constexpr (detail::StoredSparse<B>) detail::require_valid_indices(weights, "recommendations(X, B, k): B", true);
    const Eigen::SparseMatrix<S, Eigen::RowMajor> b(weights);
    detail::each_entry(b, [&](Index i, Index j, S value) {
      detail::require(std::isfinite(value), "recommendations(X, B, k): B(", i, ", ", j, ") must be finite, got ",
                      value);
    });
    const auto add_row = [&](Index i, S value, S* scores) {
      const auto [begin, end] = detail::entries_of(b, i);
      for (Index e = begin; e < end; ++e) scores[b.innerIndexPtr()[e]] += value * b.valuePtr()[e];
    };
    return detail::best_unseen<S>(x, k, session, [&](Index u, S* scores) { accumulate(u, scores, add_row); });
  } else {
    const Eigen::Ref<const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> b(weights.matrix());
    detail::require(b.allFinite(), "recommendations(X, B, k): B must be finite");
    const auto add_row = [&](Index i, S value, S* scores) {
      kernel::kernels<S>().subtract_multiple(scores, b.data() + i * b.outerStride(), -value, b.cols());
    };
    return detail::best_unseen<S>(x, k, session, [&](Index u, S* scores) { accumulate(u, scores, add_row); });
  }
}

/// Returns for each user the k items with the largest scores among those that the user has not seen, for scores of any
/// model, such as network(X).
///
/// Shapes     scores: users x items, dense; seen: users x items; result: users x min(k, items), in descending order
/// Edge case  as for recommendations; a score of -inf is never recommended, and NaN ranks first
/// Throws     Error if k < 1, the shapes differ, an entry of seen is not finite, or indices do not ascend
template <DenseExpression Scores, Interactions X>
auto best_unseen(const Scores& scores, const X& seen, Index k, ExecutorRef executor = {}) {
  using S = typename Scores::Scalar;
  static_assert(Real<S>, "filigree: best_unseen(scores, seen, k): scores must be float or double");
  detail::require(k >= 1, "best_unseen(scores, seen, k): k must be at least 1, got ", k);
  detail::require(scores.rows() == seen.rows() && scores.cols() == seen.cols(),
                  "best_unseen(scores, seen, k): the scores must have the shape of `seen`, ", seen.rows(), " x ",
                  seen.cols(), ", are ", scores.rows(), " x ", scores.cols());
  detail::require_interactions(seen, "best_unseen(scores, seen, k)");
  const detail::Session session(detail::Execution{.executor = executor});
  const Eigen::Ref<const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> s(scores.matrix());
  return detail::best_unseen<S>(seen, k, session,
                                [&](Index u, S* to) { std::copy_n(s.data() + u * s.outerStride(), s.cols(), to); });
}

}  // namespace filigree
