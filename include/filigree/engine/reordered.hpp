// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "filigree/core/integers.hpp"
#include "filigree/engine/online_softmax.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/pattern/reindexed.hpp"
#include "filigree/stage/derivative.hpp"

// Attention of a subset of the queries to a subset of the keys, in an order in which the keys that a query keeps are
// contiguous. The online softmax engine then works on dense tiles of keys that are in the cache.

namespace filigree::detail {

/// The row of the query and the column of the key at each position, in any order.
struct Order {
  std::span<const Column> queries, keys;
};

/// The positions of an order on a grid.
struct OrderIndices {
  const Order& order;
  const Grid& grid;

  [[nodiscard]] Index query(Index p) const { return grid.query_at + order.queries[static_cast<std::size_t>(p)]; }
  [[nodiscard]] Index key(Index j) const { return grid.key_at + order.keys[static_cast<std::size_t>(j)]; }
  [[nodiscard]] const Grid& original(const Grid&) const { return grid; }
};

/// A map on positions of an order.
template <MapStage M>
struct ReorderedMap {
  using Category = ScoreMap;
  static constexpr bool derivative_is_one = detail::derivative_is_one<M>;
  static constexpr bool parameters_are_pairs = has_pair_parameters<M>;
  const M& stage;
  OrderIndices indices;

  template <Real S>
    requires DifferentiableMap<M, S> S derivative(S x, S y, Index p, Index j, const Grid&)
  const { return derivative_at(stage, x, y, indices.query(p), indices.key(j), indices.grid); }
  [[nodiscard]] Index parameter_count(const Grid&) const requires ParameterStage<M> {
    return stage.parameter_count(indices.grid);
  }
  template <Real S, class Add>
  void parameter_gradient(S x, S y, Index p, Index j, const Grid&, S d,
                          const Add& add) const requires ParameterStage<M> {
    stage.parameter_gradient(x, y, indices.query(p), indices.key(j), indices.grid, d, add);
  }
  template <Real S>
    requires MapsVectors<M, S>
  void map_all(S* scores, Index count) const { stage.map_all(scores, count); }
  template <Real S>
  S map(S score, Index p, Index j, const Grid&) const {
    return map_at(stage, score, indices.query(p), indices.key(j), indices.grid);
  }
};

/// Returns a stage that works on positions of an order.
template <Stage T>
auto reordered_stage(const T& stage, const Order& order, const Grid& grid) {
  if constexpr (PatternStage<T>)
    return Reindexed<const T&, OrderIndices>{stage, {order, grid}};
  else if constexpr (MapStage<T>)
    return ReorderedMap<T>{stage, {order, grid}};
  else
    return stage;
}

/// Copies the rows of V of the keys of an order to memory of the frame.
template <Real S>
ValueRows<S> reordered(const ValueRows<S>& v, const Order& order, ScratchFrame& frame) {
  S* to = frame.take<S>(static_cast<Index>(order.keys.size()) * v.padded);
  for (std::size_t j = 0; j < order.keys.size() && v.padded > 0; ++j)
    std::copy_n(v.data + order.keys[j] * v.stride, v.padded, to + static_cast<Index>(j) * v.padded);
  return {to, v.padded, v.dv, v.padded};
}

/// Computes the sums of softmax times V over the keys of an order, and calls take(row, sums) for each of its queries.
template <class P, class Stages, Real S, class Take>
void attend_reordered(const P& problem, const Order& order, const Stages& stages, const ValueRows<S>& v,
                      WorkerScratch& scratch, Take&& take) {
  ScratchFrame frame(scratch);
  using Subset = Problem<GatheredQueries<decltype(P::queries), Column>, GatheredKeys<S>>;
  const auto n = static_cast<Index>(order.queries.size()), m = static_cast<Index>(order.keys.size());
  S* keys = frame.take<S>(PackedPanels<S>::size(m, problem.d()));
  const Subset subset{
      {problem.queries, order.queries}, gather_keys(problem.keys, order.keys, keys), {.n = n, .m = m}, problem.scale};
  const OnlineSoftmaxEngine<Subset, Stages> engine(subset, stages, n);
  const ValueRows<S> values = reordered(v, order, frame);
  for (Index first = 0; first < n; first += engine.height()) {
    const Index rows = (std::min)(engine.height(), n - first);
    ScratchFrame block_frame(scratch);
    const SoftmaxState<S> sums = engine.partial(first, rows, {values}, block_frame, scratch);
    for (Index r = 0; r < rows; ++r)
      take(static_cast<Index>(order.queries[static_cast<std::size_t>(first + r)]), sums.from(r));
  }
}

}  // namespace filigree::detail
