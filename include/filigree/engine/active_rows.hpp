// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <type_traits>
#include <vector>

#include "filigree/core/integers.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/pattern/reindexed.hpp"

// The rows that are not lazy, as a problem of their own, and when the others are means of the values.

namespace filigree::detail {

/// A subset of the rows of a grid, ascending, and all keys.
struct RowIndices {
  const std::vector<Index>& rows;
  Grid grid;

  [[nodiscard]] Index query(Index r) const { return grid.query_at + rows[static_cast<std::size_t>(r)]; }
  [[nodiscard]] Index key(Index j) const { return j; }
  [[nodiscard]] const Grid& original(const Grid&) const { return grid; }
  template <class F>
  void for_each_range(Index r0, Index r1, F&& f) const {
    for (Index r = r0; r < r1; ++r) f(query(r), query(r) + 1);
  }
  [[nodiscard]] Index first_query(Index q) const {
    const auto before = [&](Index row) { return grid.query_at + row < q; };
    return std::partition_point(rows.begin(), rows.end(), before) - rows.begin();
  }
  void to_keys(Index, Ranges&, const Grid&) const {}
};

/// The scores of the active rows.
template <class P>
using ActiveProblem =
    Problem<GatheredQueries<decltype(P::queries), Index>, std::remove_reference_t<decltype(P::keys)>&>;
template <class Patterns>
using ActiveStages = std::tuple<Reindexed<const Patterns&, RowIndices>, Softmax>;

template <class P>
ActiveProblem<P> active_problem(P& problem, const std::vector<Index>& rows) {
  return {{problem.queries, rows},
          problem.keys,
          {.n = static_cast<Index>(rows.size()), .m = problem.grid.m, .key_at = problem.grid.key_at},
          problem.scale};
}
template <class Patterns>
ActiveStages<Patterns> active_stages(const Patterns& patterns, const std::vector<Index>& rows, const Grid& grid,
                                     const Softmax& softmax) {
  return {Reindexed<const Patterns&, RowIndices>{patterns, {rows, grid}}, softmax};
}

/// Returns true if no score of row i can be NaN or infinite, so that all become 0: |<q, k>| <= |q|_1 max |k|. Copies
/// the query to `query`.
template <class P, Real S>
bool has_finite_scores(const P& problem, Index i, S* query, double largest_key) {
  const Index d = problem.d();
  if (d == 0) return true;
  problem.queries.copy(i, query);
  const double sum = Eigen::Map<const Eigen::Array<S, Eigen::Dynamic, 1>>(query, d).abs().template cast<double>().sum();
  const double scale = (std::max)(std::abs(static_cast<double>(problem.scale)), 1.0);
  return sum * largest_key * scale <= static_cast<double>((std::numeric_limits<S>::max)()) / 4;  // false for NaN
}

/// Returns the largest magnitude of a feature of a key, infinite if a key has NaN.
template <class P>
double largest_key(const P& problem, const Session& session) {
  using S = typename P::Scalar;
  const Index m = problem.grid.m, d = problem.d();
  if (d == 0 || m == 0) return 0;
  constexpr Index batch = 1024;
  std::vector<double> largest(static_cast<std::size_t>(ceil_div(m, batch)));
  session.run(static_cast<Index>(largest.size()), [&](Index task, Index worker) {
    ScratchFrame frame(session.scratch(worker));
    S* key = frame.take<S>(d);
    double top = 0;
    bool nan = false;
    for (Index j = task * batch; j < (std::min)((task + 1) * batch, m); ++j) {
      problem.keys.copy(j, key);
      const auto size = static_cast<double>(
          Eigen::Map<const Eigen::Array<S, Eigen::Dynamic, 1>>(key, d).abs().template maxCoeff<Eigen::PropagateNaN>());
      nan |= size != size;
      top = (std::max)(top, size);
    }
    largest[static_cast<std::size_t>(task)] = nan ? std::numeric_limits<double>::infinity() : top;
  });
  return *std::max_element(largest.begin(), largest.end());
}

}  // namespace filigree::detail
