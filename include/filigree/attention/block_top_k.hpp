// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/attention/block_scores.hpp"
#include "filigree/attention/sampled_measure.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/engine/selection.hpp"
#include "filigree/pattern/patterns_of.hpp"
#include "filigree/pattern/random.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

namespace detail {

/// A pattern over blocks of keys: keeps the blocks that contain a key that P keeps. The columns of its grid are blocks,
/// the rows are queries.
template <PatternStage P>
struct BlocksWithKeys {
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = detail::keeps_is_expensive<P>,
                        ranges_are_exact = detail::ranges_are_exact<P>;
  const P& pattern;
  Index b;
  Grid keys;

  bool keeps(Index p, Index block, const Grid&) const {
    const Index end = (std::min)((block + 1) * b, keys.key_end());
    for (Index j = (std::max)(block * b, keys.key_at); j < end; ++j)
      if (detail::keeps(pattern, p, j, keys)) return true;
    return false;
  }
  Index same_keys_until(Index p, const Grid&) const { return detail::same_keys_until(pattern, p, keys); }
  void covers(Index p0, Index p1, const Grid&, Ranges& out) const {
    Ranges list;
    detail::covers(pattern, p0, p1, keys, list);
    add_blocks(list, out);
  }
  void contains(Index p0, Index p1, const Grid&, Ranges& out) const {
    Ranges list;
    if (ranges_are_exact && p1 - p0 == 1)
      detail::covers(pattern, p0, p1, keys, list);
    else
      detail::contains(pattern, p0, p1, keys, list);
    add_blocks(list, out);
  }

 private:
  void add_blocks(const Ranges& list, Ranges& out) const {
    for (const Range& range : list) out.add(floor_div(range.begin, b), floor_div(range.end - 1, b) + 1);
  }
};

}  // namespace detail

/// The selection made by block_top_k: a pattern that keeps the chosen blocks of keys, for scores of the same shape.
class ChosenBlocks {
 public:
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = true, ranges_are_exact = true;

  /// Returns the block indices floor(j / b) of each query, ascending, as n x (largest count). Queries with fewer blocks
  /// are padded with -1. With a negative key_at, -1 may also be a block; count() then gives the number of blocks.
  [[nodiscard]] IndexMatrix blocks() const {
    Index max_count = 0;
    for (Index i = 0; i < held_->grid.n; ++i) max_count = (std::max)(max_count, count(i));
    IndexMatrix result(held_->grid.n, max_count);
    std::fill_n(result.data(), result.size(), Index(-1));
    for (Index i = 0; i < held_->grid.n; ++i) std::copy(begin(i), end(i), result.data() + i * max_count);
    return result;
  }
  /// Returns the number of blocks of query i.
  [[nodiscard]] Index count(Index i) const { return end(i) - begin(i); }

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index i = grid.row(p);
    return i >= 0 && i < grid.n && std::binary_search(begin(i), end(i), floor_div(j, held_->b));
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index mark = out.size();
    for (Index i = std::max<Index>(grid.row(p0), 0); i < (std::min)(grid.row(p1), grid.n); ++i) add(i, out);
    out.normalize(mark, grid);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index first = grid.row(p0), last = grid.row(p1);
    if (first < 0 || last > grid.n) return;
    const Index mark = out.size();
    for (Index i = first; i < last; ++i) {
      const Index middle = out.size();
      add(i, out);
      out.normalize(middle, grid);
      if (i > first) out.intersect(mark, middle);
      if (out.size() == mark) return;
    }
  }
  bool is_scattered(const Grid& grid) const {
    return static_cast<Index>(held_->blocks.size()) * held_->b / 4 < grid.n * grid.m / 16;
  }
  void check(const Grid& grid) const {
    const Grid& own = held_->grid;
    detail::require(grid.n == own.n && grid.m == own.m && grid.key_at == own.key_at,
                    "route(A): its blocks were chosen for ", own.n, "x", own.m, " scores with key_at = ", own.key_at,
                    ", these are ", grid.n, "x", grid.m, " with key_at = ", grid.key_at);
  }

 private:
  template <class Scorer, PatternStage Always>
  friend struct BlockTopK;

  struct Held {
    Grid grid;
    Index b;
    std::vector<Index> start{};   // [n + 1]
    std::vector<Index> blocks{};  // the blocks of query i begin at start[i], ascending
  };

  explicit ChosenBlocks(std::shared_ptr<const Held> held) : held_(std::move(held)) {}

  [[nodiscard]] const Index* begin(Index i) const {
    return held_->blocks.data() + held_->start[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] const Index* end(Index i) const { return begin(i + 1); }
  void add(Index i, Ranges& out) const {
    for (const Index* block = begin(i); block != end(i); ++block) out.add(*block * held_->b, (*block + 1) * held_->b);
  }

  std::shared_ptr<const Held> held_;
};

/// The router of block_top_k.
template <class Scorer = MeanPool, PatternStage Always = detail::KeepNone>
struct BlockTopK {
  using Category = Router;
  Index b, k;
  Always forced = {};

  /// Forces blocks to be chosen: all blocks that contain a key that P keeps and that the query may attend to. They
  /// count toward k. If there are more than k, all of them are chosen and no other block.
  template <PatternStage P>
  [[nodiscard]] BlockTopK<Scorer, std::remove_cvref_t<P>> always(P&& pattern) const {
    static_assert(std::is_same_v<Always, detail::KeepNone>,
                  "filigree: block_top_k(b, k).always(P): forces one pattern; combine several with ||");
    return {b, k, std::forward<P>(pattern)};
  }

  template <class Source, class Before>
  ChosenBlocks bind(const Source& source, const detail::Session& session, const Before& before) const {
    using Scalar = typename Source::Scalar;
    using Scores =
        detail::Problem<detail::TransformedQueries<decltype(Source::queries), Scorer>, detail::PanelKeys<Scalar>>;
    detail::Buffer memory;
    Scores scores{{source.queries},
                  detail::pool_keys<Scorer>(source, b, memory, session),
                  detail::block_grid(source.grid, b),
                  Scalar(1)};
    const auto patterns = detail::patterns_of(before);
    const detail::BlocksWithKeys<std::remove_const_t<decltype(patterns)>> allowed{patterns, b, source.grid};
    const detail::BlocksWithKeys<Always> forced_blocks{forced, b, source.grid};
    std::vector<std::vector<Index>> chosen(static_cast<std::size_t>(source.grid.n));
    const auto collect = [&](const auto& candidates, const auto& always) {
      const std::tuple stages(candidates, TopK{k});
      const detail::SelectionEngine<Scores, std::remove_const_t<decltype(stages)>> engine(scores, stages, session,
                                                                                          scores.grid.n);
      const auto take = [&](const auto& row, const detail::WorkerScratch&) {
        Ranges ranges;
        detail::kept_ranges(always, row.position(), scores.grid, ranges);
        pick(ranges, row, chosen[static_cast<std::size_t>(row.index)]);
      };
      detail::for_each_row(engine, 0, scores.grid.n, session, take);
    };
    if constexpr (std::is_same_v<Always, detail::KeepNone>)
      collect(allowed, forced_blocks);
    else
      collect(allowed && !forced_blocks, allowed && forced_blocks);

    auto held = std::make_shared<ChosenBlocks::Held>(ChosenBlocks::Held{source.grid, b});
    held->start.push_back(0);
    for (const auto& row : chosen) held->start.push_back(held->start.back() + static_cast<Index>(row.size()));
    held->blocks.reserve(static_cast<std::size_t>(held->start.back()));
    for (const auto& row : chosen) held->blocks.insert(held->blocks.end(), row.begin(), row.end());
    return ChosenBlocks(std::move(held));
  }
  void check(const Grid& grid) const { detail::check(forced, grid); }
  bool reads(const AddressRange& target) const { return detail::reads(forced, target); }

 private:
  /// Adds the forced blocks of a query, and then the best candidates in `row` until there are k blocks.
  template <class R>
  void pick(const Ranges& always, const R& row, std::vector<Index>& out) const {
    for (const Range& range : always)
      for (Index block = range.begin; block < range.end; ++block) out.push_back(block);
    const Index remaining = k - static_cast<Index>(out.size());
    if (remaining <= 0) return;
    std::vector<Index> order(static_cast<std::size_t>(row.count));
    for (std::size_t e = 0; e < order.size(); ++e) order[e] = static_cast<Index>(e);
    if (remaining < row.count)
      std::nth_element(order.begin(), order.begin() + remaining, order.end(), [&](Index x, Index y) {
        const auto a = row.values[x], c = row.values[y];
        const bool a_nan = a != a, c_nan = c != c;
        if (a_nan != c_nan) return a_nan;
        return a_nan || a == c ? x < y : a > c;
      });
    order.resize(static_cast<std::size_t>((std::min)(remaining, row.count)));
    for (const Index e : order) out.push_back(row.position_of(e));
    std::sort(out.data(), out.data() + out.size());
  }
};

/// Keeps the k highest-scoring blocks of b keys for each query, by the mean of their keys (MoBA) or an upper bound
/// (Quest). Key j is in block floor(j / b). The first and the last block may be shorter.
///
/// A block is a candidate only if the preceding patterns let the query attend to one of its keys. So
/// `causal() | block_top_k(b, k)` never selects future blocks. MoBA, where a query always attends to its own block, is
/// `causal() | block_top_k(b, k).always(same_block(b))`. Patterns after this stage only remove keys from the selection.
/// Formula    mean_pool(): ⟨q, mean of the block's keys⟩; min_max_bound(): Σ max(q min, q max); without the scale
/// Cost       n m / b dot products, and the keys of k blocks for each query
/// Edge case  ties go to the lowest block; NaN ranks first; with fewer than k blocks, all are kept
/// Throws     Error if b < 1 or k < 1
/// Reference  Lu et al., arXiv:2502.13189 (MoBA), section 2.2; Tang et al., arXiv:2406.10774 (Quest)
template <class Scorer = MeanPool>
BlockTopK<Scorer> block_top_k(Index b, Index k, Scorer = {}) {
  detail::require(b >= 1, "block_top_k(b, k): b must be at least 1, got ", b);
  detail::require(k >= 1, "block_top_k(b, k): k must be at least 1, got ", k);
  return {.b = b, .k = k};
}

}  // namespace filigree
