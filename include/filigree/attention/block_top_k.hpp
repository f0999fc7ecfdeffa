// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/attention/block_scores.hpp"
#include "filigree/attention/sampled_measure.hpp"
#include "filigree/core/check.hpp"
#include "filigree/engine/selection.hpp"
#include "filigree/pattern/all_of.hpp"
#include "filigree/pattern/random.hpp"
#include "filigree/pipe/routed.hpp"

namespace filigree {

namespace detail {

/// A pattern over blocks of keys: keeps those of which P keeps a key. Its grid is one of blocks; queries are queries.
template <PatternStage P>
struct Meets {
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
    for (const Range& range : list) out.add(block_of(range.begin, b), block_of(range.end - 1, b) + 1);
  }
};

}  // namespace detail

/// What block_top_k chose: a pattern that keeps these blocks of keys, for scores of the same shape.
class ChosenBlocks {
 public:
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = true, ranges_are_exact = true;

  /// Returns the numbers floor(j / b) of the blocks of each query, ascending, as n x (the most that a query has); -1
  /// where a query has fewer (with a negative key_at, count() tells).
  [[nodiscard]] IndexMatrix blocks() const {
    Index most = 0;
    for (Index i = 0; i < held_->grid.n; ++i) most = (std::max)(most, count(i));
    IndexMatrix result(held_->grid.n, most);
    std::fill_n(result.data(), result.size(), Index(-1));
    for (Index i = 0; i < held_->grid.n; ++i) std::copy(begin(i), end(i), result.data() + i * most);
    return result;
  }
  /// Returns how many blocks query i has.
  [[nodiscard]] Index count(Index i) const { return end(i) - begin(i); }

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index i = grid.row(p);
    return i >= 0 && i < grid.n && std::binary_search(begin(i), end(i), detail::block_of(j, held_->b));
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
    std::vector<Index> blocks{};  // of query i from start[i] on, ascending
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

/// What block_top_k(b, k) returns.
template <class Scorer = MeanPool, PatternStage Always = detail::KeepNone>
struct BlockTopK {
  using Category = Router;
  Index b, k;
  Always forced = {};

  /// Forces blocks to be chosen: those that the query may attend to and of which the pattern keeps a key. They count
  /// within k; if they are more than k, all of them are in and nothing else.
  template <PatternStage P>
  [[nodiscard]] BlockTopK<Scorer, std::remove_cvref_t<P>> always(P&& pattern) const {
    static_assert(std::is_same_v<Always, detail::KeepNone>,
                  "filigree: block_top_k(b, k).always(P): forces one pattern; combine several with ||");
    return {b, k, std::forward<P>(pattern)};
  }

  template <class Source, class Before>
  ChosenBlocks bind(const Source& source, const detail::Session& session, const Before& before) const {
    using Scores = detail::BlockScores<Source, Scorer>;
    const Scores scores(source, b, session);
    const auto seen = detail::patterns_of(before);
    const detail::Meets<std::remove_const_t<decltype(seen)>> sees{seen, b, source.grid()};
    const detail::Meets<Always> must{forced, b, source.grid()};
    std::vector<std::vector<Index>> chosen(static_cast<std::size_t>(source.grid().n));
    const auto collect = [&](const auto& free, const auto& sure) {
      const std::tuple stages(free, TopK{k});
      const detail::SelectionEngine<Scores, std::remove_const_t<decltype(stages)>> engine(scores, stages, session,
                                                                                          scores.grid().n);
      const auto take = [&](const auto& row, const detail::WorkerScratch&) {
        Ranges ranges;
        detail::kept_ranges(sure, row.position(), scores.grid(), ranges);
        pick(ranges, row, chosen[static_cast<std::size_t>(row.index)]);
      };
      detail::for_each_row(engine, 0, scores.grid().n, session, take);
    };
    if constexpr (std::is_same_v<Always, detail::KeepNone>)
      collect(sees, must);
    else
      collect(sees && !must, sees && must);

    auto held = std::make_shared<ChosenBlocks::Held>(ChosenBlocks::Held{source.grid(), b});
    held->start.push_back(0);
    for (const auto& row : chosen) held->start.push_back(held->start.back() + static_cast<Index>(row.size()));
    held->blocks.reserve(static_cast<std::size_t>(held->start.back()));
    for (const auto& row : chosen) held->blocks.insert(held->blocks.end(), row.begin(), row.end());
    return ChosenBlocks(std::move(held));
  }
  void check(const Grid& grid) const { detail::check(forced, grid); }
  bool reads(const AddressRange& target) const { return detail::reads(forced, target); }

 private:
  /// The forced blocks of a query and the best others, `row`, as far as k allows.
  template <class R>
  void pick(const Ranges& sure, const R& row, std::vector<Index>& out) const {
    for (const Range& range : sure)
      for (Index block = range.begin; block < range.end; ++block) out.push_back(block);
    const Index left = k - static_cast<Index>(out.size());
    if (left <= 0) return;
    std::vector<Index> order(static_cast<std::size_t>(row.count));
    for (std::size_t e = 0; e < order.size(); ++e) order[e] = static_cast<Index>(e);
    if (left < row.count)
      std::nth_element(order.begin(), order.begin() + left, order.end(), [&](Index x, Index y) {
        const auto a = row.values[x], c = row.values[y];
        const bool a_nan = a != a, c_nan = c != c;
        if (a_nan != c_nan) return a_nan;
        return a_nan || a == c ? x < y : a > c;
      });
    order.resize(static_cast<std::size_t>((std::min)(left, row.count)));
    for (const Index e : order) out.push_back(row.position_of(e));
    std::sort(out.data(), out.data() + out.size());
  }
};

/// Keeps the k blocks of b keys that score highest for each query, by the mean of their keys or by a bound: MoBA,
/// Quest. Blocks are counted from key position 0: key j lies in block floor(j / b), and the first and the last may be
/// short.
///
/// What stands before it counts: only blocks are chosen of which the patterns before it let the query see a key, so
/// that `causal() | block_top_k(b, k)` never spends its k on the future. `causal() | block_top_k(b,
/// k).always(same_block(b))` is MoBA, where a query always sees its own block. Patterns behind it only take away from
/// what was chosen.
/// Formula    mean_pool(): ⟨q, mean of the block's keys⟩; min_max_bound(): Σ max(q min, q max); without the scale
/// Cost       n m / b dot products, and the keys of k blocks for each query
/// Edge case  ties go to the lowest block; NaN ranks first; fewer than k blocks: all of them
/// Throws     Error if b < 1 or k < 1
/// Reference  Lu et al., arXiv:2502.13189 (MoBA), section 2.2; Tang et al., arXiv:2406.10774 (Quest)
template <class Scorer = MeanPool>
BlockTopK<Scorer> block_top_k(Index b, Index k, Scorer = {}) {
  detail::require(b >= 1, "block_top_k(b, k): b must be at least 1, got ", b);
  detail::require(k >= 1, "block_top_k(b, k): k must be at least 1, got ", k);
  return {.b = b, .k = k};
}

}  // namespace filigree
