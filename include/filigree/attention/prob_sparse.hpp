// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "filigree/attention/sampled_measure.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/lazy_rows.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

/// The selection made by prob_sparse: a score map that keeps the scores of active rows and sets the scores of all other
/// rows to 0. It can be reused in other pipelines on scores with the same n.
class ActiveRows {
 public:
  using Category = ScoreMap;

  /// Returns the active rows in ascending order.
  [[nodiscard]] const std::vector<Index>& active() const { return held_->active; }
  /// Returns true if the row is not active.
  [[nodiscard]] bool is_lazy(Index row) const { return held_->lazy[row] != 0; }
  /// Returns M of each query.
  template <class Vector = Eigen::VectorXd>
  [[nodiscard]] Eigen::Map<const Vector> measure() const {
    return {held_->measure.data(), held_->measure.size()};
  }
  /// Returns the sampled keys of each query, n x U. Pass them to prob_sparse(c, sample) to repeat the selection.
  [[nodiscard]] IndexMatrix sample() const {
    IndexMatrix sample(held_->grid.n, held_->draw.size);
    for (Index i = 0; i < sample.rows(); ++i) held_->draw.row(i, held_->grid, sample.data() + i * sample.cols());
    return sample;
  }

  /// Returns the score in an active row and 0 in a lazy row. NaN stays NaN in both.
  template <Real S>
  S map(S score, Index p, Index, const Grid& grid) const {
    return is_lazy(grid.row(p)) && score == score ? S(0) : score;
  }
  template <Real S>
  S derivative(S, S, Index p, Index, const Grid& grid) const {
    return is_lazy(grid.row(p)) ? S(0) : S(1);
  }
  void check(const Grid& grid) const {
    detail::require(grid.n == held_->grid.n, "route(A): its rows were chosen among ", held_->grid.n,
                    " queries, but the scores have ", grid.n);
  }

 private:
  friend struct ProbSparse;

  struct Held {
    Grid grid;
    detail::KeySample draw;
    std::vector<Index> active{};
    detail::List<char> lazy{};
    detail::List<double> measure{};
  };

  explicit ActiveRows(std::shared_ptr<const Held> held) : held_(std::move(held)) {}

  std::shared_ptr<const Held> held_;
};

/// The router of prob_sparse.
struct ProbSparse {
  using Category = Router;
  Index c;
  std::uint64_t seed;
  std::shared_ptr<const IndexMatrix> sample = nullptr;

  template <class Source>
  ActiveRows bind(const Source& source, const detail::Session& session) const {
    return ActiveRows(choose(source, session));
  }
  void check(const Grid& grid) const {
    if (sample == nullptr) return;
    detail::require(sample->rows() == grid.n, "prob_sparse(c, sample): sample has ", sample->rows(),
                    " rows and must have one for each query, ", grid.n);
    const Index largest = sample->size() > 0 ? sample->maxCoeff() : -1;
    detail::require(largest < grid.m, "prob_sparse(c, sample): an index must be below ", grid.m,
                    ", the number of keys, got ", largest);
  }

 private:
  /// Returns clamp(c * ceil(ln size), 1, size).
  [[nodiscard]] Index count(Index size) const {
    const auto logarithm = static_cast<Index>(std::ceil(std::log(static_cast<double>(std::max<Index>(size, 1)))));
    return (std::min)(std::max<Index>((std::min)(c, size) * logarithm, 1), size);
  }

  template <class Source>
  std::shared_ptr<const ActiveRows::Held> choose(const Source& source, const detail::Session& session) const {
    const Grid& grid = source.grid;
    const Index sample_size = sample != nullptr ? sample->cols() : count(grid.m);
    auto held = std::make_shared<ActiveRows::Held>(ActiveRows::Held{grid, {sample_size, seed, sample}});
    held->measure.resize(grid.n);
    // Batches of equal size. The batch size does not affect the results.
    const Index batch = std::clamp<Index>(grid.n / (2 * session.concurrency()), 64, 16384);
    session.run(detail::ceil_div(grid.n, batch), [&](Index task, Index worker) {
      const Index first = task * batch;
      detail::measure_rows(source, held->draw, first, (std::min)(first + batch, grid.n), held->measure.data(),
                           session.scratch(worker));
    });
    std::vector<Index> order(static_cast<std::size_t>(grid.n));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
    const auto u = count(grid.n);
    const auto ranks_before = [&m = held->measure](Index a, Index b) {
      const bool a_nan = m[a] != m[a], b_nan = m[b] != m[b];
      if (a_nan != b_nan) return a_nan;
      if (!a_nan && m[a] != m[b]) return m[a] > m[b];
      return a < b;
    };
    if (u < grid.n) std::nth_element(order.begin(), order.begin() + u, order.end(), ranks_before);
    order.resize(static_cast<std::size_t>(u));
    std::sort(order.data(), order.data() + order.size());
    held->lazy.assign(grid.n, char(1));
    for (const Index row : order) held->lazy[row] = 0;
    held->active = std::move(order);
    return held;
  }
};

/// Selects the active queries, whose scores over a few sampled keys are least uniform (Informer). All other queries are
/// lazy: their scores become 0, so that A * V is the mean of the values they attend to, or the sum with lazy_sum().
///
/// The sparsity measure is M(i) = max over the sample of <q_i, k> - (sum over the sample of <q_i, k>) / m. It ignores
/// the scale and the mask. Each query samples U = clamp(c ceil(ln m), 1, m) keys with replacement. The sample depends
/// only on the seed and the position of the query. The u = clamp(c ceil(ln n), 1, n) queries with the largest M are
/// active.
///
/// Formula    active: the c ⌈ln n⌉ rows with the largest M(i) = max ⟨q_i, k⟩ − Σ ⟨q_i, k⟩ / m
/// Cost       n U + u m dot products, prefix sums of V
/// Edge case  ties go to the lowest row; NaN ranks first; a NaN score stays in a lazy row
/// Throws     Error if c < 1
/// Reference  Zhou et al., arXiv:2012.07436, equation 4 and algorithm 1
inline ProbSparse prob_sparse(Index c, std::uint64_t seed) {
  detail::require(c >= 1, "prob_sparse(c, seed): c must be at least 1, got ", c);
  return {.c = c, .seed = seed};
}

/// Selects the active queries over a given sample: row i holds the key indices sampled for query i.
///
/// Shapes     sample: n x U integers, any U >= 1
/// Throws     Error if c < 1, U < 1 or an index is negative; at evaluation, if sample.rows() != n or an index is >= m
template <DenseExpression Indices>
  requires(std::integral<typename Indices::Scalar>)
ProbSparse prob_sparse(Index c, const Indices& sample) {
  detail::require(c >= 1, "prob_sparse(c, sample): c must be at least 1, got ", c);
  detail::require(sample.cols() >= 1, "prob_sparse(c, sample): sample must have at least 1 column, got ",
                  sample.cols());
  auto held = std::make_shared<const IndexMatrix>(sample.template cast<Index>());
  const Index least = held->size() > 0 ? held->minCoeff() : 0;
  detail::require(least >= 0, "prob_sparse(c, sample): an index must be at least 0, got ", least);
  return {.c = c, .seed = 0, .sample = std::move(held)};
}

}  // namespace filigree
