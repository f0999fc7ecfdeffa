// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "filigree/attention/sampled_measure.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/list.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

/// The selection made by drop_smallest: a pattern without the dropped pairs, for scores of the same shape.
class DroppedPairs {
 public:
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;

  /// Returns the number of dropped pairs.
  [[nodiscard]] Index count() const { return held_->keys.size(); }

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index i = grid.row(p);
    return i >= 0 && i < grid.n && !std::binary_search(begin(i), end(i), grid.column(j));
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    for (Index i = std::max<Index>(grid.row(p0), 0); i < (std::min)(grid.row(p1), grid.n); ++i) {
      if (p1 - p0 > 1 && end(i) - begin(i) < grid.m) return out.add(grid.key_at, grid.key_at + grid.m);
      if (p1 - p0 == 1) add_gaps(begin(i), end(i), grid, out);
    }
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index first = grid.row(p0), last = grid.row(p1);
    if (first < 0 || last > grid.n) return;
    std::vector<Index> dropped(begin(first), end(last - 1));  // the lists of consecutive rows are adjacent
    if (last - first > 1) std::sort(dropped.begin(), dropped.end());
    add_gaps(dropped.data(), dropped.data() + dropped.size(), grid, out);
  }
  void check(const Grid& grid) const {
    const Grid& own = held_->grid;
    detail::require(grid.n == own.n && grid.m == own.m, "route(A): its pairs were dropped from ", own.n, "x", own.m,
                    " scores, these are ", grid.n, "x", grid.m);
  }

 private:
  friend struct DropSmallest;

  struct Held {
    Grid grid;
    detail::List<Index> start{}, keys{};  // the dropped keys of query i begin at start[i], ascending
  };

  explicit DroppedPairs(std::shared_ptr<const Held> held) : held_(std::move(held)) {}

  [[nodiscard]] const Index* begin(Index i) const { return held_->keys.data() + held_->start[i]; }
  [[nodiscard]] const Index* end(Index i) const { return begin(i + 1); }
  /// Adds the ranges between ascending columns.
  static void add_gaps(const Index* dropped, const Index* last, const Grid& grid, Ranges& out) {
    Index next = 0;
    for (; dropped != last; next = (std::max)(next, *dropped++ + 1))
      if (*dropped > next) out.add(grid.key_at + next, grid.key_at + *dropped);
    if (next < grid.m) out.add(grid.key_at + next, grid.key_at + grid.m);
  }

  std::shared_ptr<const Held> held_;
};

/// The router of drop_smallest.
struct DropSmallest {
  using Category = Router;
  double sparsity;

  template <class Source>
  DroppedPairs bind(const Source& source, const detail::Session& session) const {
    using S = typename Source::Scalar;
    const Grid& grid = source.grid;
    const Index n = grid.n, m = grid.m, d = source.d();
    const Index count = (std::min)(n * m, static_cast<Index>(static_cast<double>(n) * sparsity));
    auto held = std::make_shared<DroppedPairs::Held>(DroppedPairs::Held{grid});
    held->start.assign(n + 1, Index(0));
    if (count == 0) return DroppedPairs(std::move(held));

    detail::Buffer keys_memory, queries_memory, products_memory;
    S* const keys = keys_memory.get<S>((std::max)(m * d, Index{1}));
    S* const queries = queries_memory.get<S>((std::max)(n * d, Index{1}));
    S* const products = products_memory.get<S>(n * m);
    session.run(m, [&](Index j, Index) { source.keys.copy(j, keys + j * d); });
    session.run(n, [&](Index i, Index) {
      source.queries.copy(i, queries + i * d);
      for (Index j = 0; j < m; ++j)
        products[i * m + j] = source.scale * detail::partial_dot(queries + i * d, keys + j * d, d);
    });

    detail::List<Index> order(n * m);
    for (Index e = 0; e < n * m; ++e) order[e] = e;
    const auto ranks_before = [products](Index a, Index b) {
      const S x = products[a], y = products[b];
      const bool x_nan = x != x, y_nan = y != y;
      if (x_nan != y_nan) return y_nan;
      return !x_nan && x != y ? x < y : a > b;
    };
    if (count < n * m) std::nth_element(order.begin(), order.begin() + count, order.end(), ranks_before);
    std::sort(order.begin(), order.begin() + count);
    held->keys.resize(count);
    for (Index e = 0; e < count; ++e) {
      ++held->start[order[e] / m + 1];
      held->keys[e] = order[e] % m;
    }
    for (Index i = 0; i < n; ++i) held->start[i + 1] += held->start[i];
    return DroppedPairs(std::move(held));
  }
};

/// Drops the ⌊n · sparsity⌋ smallest of all n·m scores. That is a share of the number of queries, not of the pairs.
///
/// This is what a tutorial class of PyTorch, SparseSelfAttention, computes under the name of sparsity: of n keys per
/// query it drops less than one on average. Use it to replay models that were trained so; drop_lowest(sparsity) drops
/// this share of each row. The patterns before it do not change which pairs are dropped.
/// Formula    drops the ⌊n · sparsity⌋ pairs (i, j) with the smallest scale · ⟨q_i, k_j⟩
/// Cost       n·m dot products; memory for n·m scores and indices
/// Edge case  of equal scores, those of the highest query and key are dropped; NaN ranks highest. A query without keys
///            has weights of 0, where the class, which sets scores to −10⁹, has equal weights
/// Throws     Error unless 0 <= sparsity <= 1
inline DropSmallest drop_smallest(double sparsity) {
  detail::require(sparsity >= 0 && sparsity <= 1, "drop_smallest(sparsity): sparsity must be between 0 and 1, got ",
                  sparsity);
  return {sparsity};
}

}  // namespace filigree
