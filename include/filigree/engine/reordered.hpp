// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "filigree/core/integers.hpp"
#include "filigree/engine/online_softmax.hpp"

// Attention of a subset of the queries to a subset of the keys, in an order in which the keys that a query keeps are
// contiguous. The online softmax engine then works on dense tiles of keys that are in the cache.

namespace filigree::detail {

/// The row of the query and the column of the key at each position, in any order.
struct Order {
  std::span<const Column> queries, keys;
};

/// A pattern on positions of an order. It has no covers() or contains().
template <PatternStage P>
struct ReorderedPattern {
  using Category = Pattern;
  const P& pattern;
  const Order& order;
  const Grid& grid;

  bool keeps(Index p, Index j) const {
    return detail::keeps(pattern, grid.query_at + order.queries[static_cast<std::size_t>(p)],
                         grid.key_at + order.keys[static_cast<std::size_t>(j)], grid);
  }
};

/// A map on positions of an order.
template <MapStage M>
struct ReorderedMap {
  using Category = ScoreMap;
  const M& stage;
  const Order& order;
  const Grid& grid;

  template <Real S>
    requires MapsVectors<M, S>
  void map_all(S* scores, Index count) const { stage.map_all(scores, count); }
  template <Real S>
  S map(S score, Index p, Index j, const Grid&) const {
    return map_at(stage, score, grid.query_at + order.queries[static_cast<std::size_t>(p)],
                  grid.key_at + order.keys[static_cast<std::size_t>(j)], grid);
  }
};

/// Returns a stage that works on positions of an order.
template <Stage T>
auto reordered_stage(const T& stage, const Order& order, const Grid& grid) {
  if constexpr (PatternStage<T>)
    return ReorderedPattern<T>{stage, order, grid};
  else if constexpr (MapStage<T>)
    return ReorderedMap<T>{stage, order, grid};
  else
    return stage;
}

/// A source with the queries and keys of an order, copied to buffers of the worker.
template <class Bound>
class ReorderedSource {
 public:
  using Scalar = typename Bound::Scalar;

  ReorderedSource(const Bound& source, const Order& order, WorkerScratch& scratch)
      : source_(source),
        order_(order),
        grid_{.n = static_cast<Index>(order.queries.size()), .m = static_cast<Index>(order.keys.size())},
        width_(kernel::kernels<Scalar>().width) {
    if (d() == 0) return;  // nothing to copy, and memory may be null
    const Index panels = ceil_div(grid_.m, width_);
    Scalar* keys = scratch.gathered.get<Scalar>(panels * width_ * d());
    for (Index p = 0; p < panels; ++p)
      source_.gather_panel(order_.keys.data() + p * width_, (std::min)(width_, grid_.m - p * width_),
                           keys + p * width_ * d());
    const Index height = kernel::kernels<Scalar>().height;  // padding of the last group, which may begin at any query
    Scalar* queries = scratch.gathered_queries.get<Scalar>((grid_.n + height) * d());
    for (Index i = 0; i < grid_.n; ++i)
      source_.copy_query(order_.queries[static_cast<std::size_t>(i)], queries + i * d());
    std::fill_n(queries + grid_.n * d(), height * d(), Scalar(0));
    keys_ = keys;
    queries_ = queries;
  }

  [[nodiscard]] const Grid& grid() const { return grid_; }
  [[nodiscard]] Scalar scale() const { return source_.scale(); }
  [[nodiscard]] Index d() const { return source_.d(); }
  const Scalar* panel(Index p, WorkerScratch&) const { return keys_ + p * width_ * d(); }

  void pack_queries(Index first, Index count, Scalar* out) const {
    const auto& kernels = kernel::kernels<Scalar>();
    for (Index i = first; i < first + count && d() > 0; i += kernels.height, out += d() * kernels.height)
      kernels.pack_group(queries_ + i * d(), d(), d(), out);
  }

 private:
  const Bound& source_;
  const Order& order_;
  Grid grid_;
  Index width_;
  const Scalar* keys_ = nullptr;     // packed as panels
  const Scalar* queries_ = nullptr;  // as rows; the padding is 0
};

/// Copies the rows of V of the keys of an order to a buffer of the worker.
template <Real S>
ValueRows<S> reordered(const ValueRows<S>& v, const Order& order, WorkerScratch& scratch) {
  S* to = scratch.gathered_rows.get<S>(static_cast<Index>(order.keys.size()) * v.padded);
  for (std::size_t j = 0; j < order.keys.size() && v.padded > 0; ++j)
    std::copy_n(v.data + order.keys[j] * v.stride, v.padded, to + static_cast<Index>(j) * v.padded);
  return {to, v.padded, v.dv, v.padded};
}

/// Computes the sums of softmax times V over the keys of an order, and calls take(row, sums) for each of its queries.
template <class Bound, class Stages, Real S, class Take>
void attend_reordered(const Bound& source, const Order& order, const Stages& stages, const ValueRows<S>& v,
                      WorkerScratch& scratch, Take&& take) {
  scratch.gathered_owner = nullptr;
  const ReorderedSource<Bound> subset(source, order, scratch);
  const OnlineSoftmaxEngine<ReorderedSource<Bound>, Stages> engine(subset, stages, subset.grid().n);
  const ValueRows<S> values = reordered(v, order, scratch);
  for (Index first = 0; first < subset.grid().n; first += engine.height()) {
    const Index rows = (std::min)(engine.height(), subset.grid().n - first);
    const kernel::SoftmaxState<S> sums = engine.partial(first, rows, values, scratch);
    for (Index r = 0; r < rows; ++r)
      take(static_cast<Index>(order.queries[static_cast<std::size_t>(first + r)]),
           sums.from(r, kernel::kernels<S>().lanes));
  }
}

}  // namespace filigree::detail
