// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/core/list.hpp"
#include "filigree/recommend/gram.hpp"

namespace filigree {

/// Options of slim().
struct slim_options {
  double l1 = 1;            ///< λ: larger values give fewer weights
  double l2 = 1;            ///< β: larger values give smaller weights
  double tolerance = 1e-6;  ///< largest error of the optimality conditions of a column j, relative to ‖x_j‖²
  Index sweeps = 10'000;    ///< largest number of passes over the weights of a column
};

namespace detail {

/// A weight of an item for another one.
struct ItemWeight {
  Index item;
  double value;
};

/// Coordinate descent for one column of slim(), with the memory of a worker.
class SlimColumn {
 public:
  /// Returns the weights above 0 for item j. They are valid until the next call.
  ///
  /// Weights that may be above 0 are active. Sweeps over them read their entries of the Gram matrix only. Between
  /// sweeps to the tolerance, the correlations of all items show which further ones become active.
  const List<ItemWeight>& solve(const GramMatrix& gram, Index j, const slim_options& options) {
    const Index n = gram.rows();
    const double bound = options.tolerance * gram(j, j);
    active_.clear();
    residual_.assign(n, 0.0);
    is_active_.assign(n, 0);
    std::copy_n(gram.data() + j * n, n, residual_.data());
    for (Index sweeps = 0;;) {
      bool grows = false;
      for (Index k = 0; k < n; ++k)
        if (k != j && is_active_[k] == 0 && residual_[k] > options.l1 + bound) {
          is_active_[k] = 1;
          active_.push_back({k, 0});
          grows = true;
        }
      if (!grows || sweeps >= options.sweeps) break;
      double change = 0;
      do {
        change = sweep(gram, options);
        ++sweeps;
      } while (change > bound && sweeps < options.sweeps);
      // The correlations with the residual x_j - X w, of all items.
      std::copy_n(gram.data() + j * n, n, residual_.data());
      for (const ItemWeight& w : active_) {
        const double* const row = gram.data() + w.item * n;
        for (Index k = 0; k < n && w.value > 0; ++k) residual_[k] -= w.value * row[k];
      }
    }
    std::sort(active_.begin(), active_.end(), [](const ItemWeight& a, const ItemWeight& b) { return a.item < b.item; });
    return active_;
  }

 private:
  /// Minimizes over each active weight in turn. Returns the largest change of a correlation with its own item.
  double sweep(const GramMatrix& gram, const slim_options& options) {
    double largest = 0;
    for (ItemWeight& w : active_) {
      const double* const row = gram.data() + w.item * gram.rows();
      const double square = row[w.item];
      const double value = (std::max)((residual_[w.item] + square * w.value - options.l1) / (square + options.l2), 0.0);
      const double change = value - w.value;
      if (change == 0) continue;
      w.value = value;
      for (const ItemWeight& other : active_) residual_[other.item] -= change * row[other.item];
      largest = (std::max)(largest, std::abs(change) * (square + options.l2));
    }
    return largest;
  }

  List<double> residual_;  // of each item: x_k' (x_j - X w); in a sweep of the active items only
  List<char> is_active_;
  List<ItemWeight> active_;
};

}  // namespace detail

/// Returns sparse weights W of X ≈ X W, at least 0 and without self-weights: SLIM. The scores of a user are x W.
///
/// The columns are independent elastic nets, solved by coordinate descent on the Gram matrix.
/// Formula    argmin of ½ ‖X − X W‖² + ½ β ‖W‖² + λ Σ |W_ij| with W ≥ 0, diag W = 0
/// Shapes     X: users x items, result: items x items, column-major, of the scalar of X; weights of 0 are not stored
/// Cost       Σ over users of (their items)² / 2; for each item, sweeps of (active items)² and a few of items · active;
///            8 items² bytes. Computed in double
/// Edge case  the row and the column of an item without interactions are 0; without users, W is 0
/// Throws     Error if an option is out of range, an entry of X is not finite, or its indices do not ascend
/// Reference  Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems", ICDM 2011, equation 4;
///            coordinate descent: Friedman, Hastie and Tibshirani, J. Stat. Softw. 33, 2010, section 2.2
template <Interactions X>
auto slim(const X& x, const slim_options& options = {}, ExecutorRef executor = {}) {
  using S = typename X::Scalar;
  const auto require_option = [](double value, const char* name) {
    detail::require(value >= 0 && std::isfinite(value), "slim(X, {.", name, "}): must be at least 0 and finite, got ",
                    value);
  };
  require_option(options.l1, "l1");
  require_option(options.l2, "l2");
  detail::require(options.tolerance > 0 && std::isfinite(options.tolerance),
                  "slim(X, {.tolerance}): must be above 0 and finite, got ", options.tolerance);
  detail::require(options.sweeps >= 1, "slim(X, {.sweeps}): must be at least 1, got ", options.sweeps);
  detail::require_interactions(x, "slim(X)");
  const detail::Session session(detail::Execution{.executor = executor});
  const detail::GramMatrix gram = detail::gram_matrix(x, "slim(X)", session);
  const Index n = gram.rows();
  detail::List<detail::SlimColumn> workers;
  workers.resize(session.concurrency());
  detail::List<detail::List<detail::ItemWeight>> columns;
  columns.resize(n);
  session.run(n, [&](Index j, Index worker) {
    for (const detail::ItemWeight& w : workers[worker].solve(gram, j, options))
      if (static_cast<S>(w.value) > 0) columns[j].push_back(w);
  });
  Eigen::SparseMatrix<S> weights(n, n);
  Index count = 0;
  for (Index j = 0; j < n; ++j) count += columns[j].size();
  detail::require(count <= (std::numeric_limits<int>::max)(), "slim(X): the result has ", count,
                  " weights, more than Eigen::SparseMatrix can store; increase l1");
  weights.reserve(count);
  for (Index j = 0; j < n; ++j) {
    weights.startVec(j);
    for (const detail::ItemWeight& w : columns[j]) weights.insertBack(w.item, j) = static_cast<S>(w.value);
  }
  weights.finalize();
  return weights;
}

}  // namespace filigree
