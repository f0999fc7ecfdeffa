// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/digits.hpp"
#include "filigree/pattern/coverage.hpp"
#include "filigree/pattern/planned_ranges.hpp"

namespace filigree {

/// Tiles of 64 queries and 64 keys, counted from the first of each; those at the border may be smaller.
struct TileCount {
  Index full = 0;     ///< every pair is kept
  Index partial = 0;  ///< all others that the plan does not exclude
  Index all = 0;      ///< full, partial and empty ones
};

/// What plan(pattern, n, m) returns: a pattern that keeps what the pattern keeps. A copy shares what was planned.
template <PatternStage P>
class Plan {
 public:
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = detail::keeps_is_expensive<P>;
  static constexpr bool ranges_are_exact =
      keeps_is_expensive && detail::ranges_are_exact<P>;  // then queries are planned one by one

  Plan(P pattern, const Grid& grid) {
    auto planned = std::make_shared<Planned>(Planned{.pattern = std::move(pattern), .grid = grid, .lists = {}});
    fill(planned->pattern, grid, planned->lists);
    planned_ = std::move(planned);
  }

  bool keeps(Index p, Index j, const Grid& grid) const {
    using Seen = detail::PlannedRanges::Seen;
    if constexpr (keeps_is_expensive) {
      if (is_planned(p, p + 1, grid) && j >= grid.key_at && j < grid.key_end()) {
        const Seen seen = planned_->lists.sees(grid.row(p), grid.column(j), grid);
        if (seen != Seen::maybe) return seen == Seen::yes;
      }
    }
    return detail::keeps(planned_->pattern, p, j, grid);
  }
  Index same_keys_until(Index p, const Grid& grid) const { return detail::same_keys_until(planned_->pattern, p, grid); }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (!is_planned(p0, p1, grid) || !planned_->lists.covers(grid.row(p0), grid.row(p1), grid, out))
      detail::covers(planned_->pattern, p0, p1, grid, out);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (!is_planned(p0, p1, grid) || !planned_->lists.contains(grid.row(p0), grid.row(p1), grid, out))
      detail::contains(planned_->pattern, p0, p1, grid, out);
  }
  bool is_scattered(const Grid& grid) const requires(detail::may_be_scattered<P>) {
    return detail::is_scattered(planned_->pattern, grid);
  }
  void check(const Grid& grid) const {
    const Grid& own = planned_->grid;
    detail::require(own.n == grid.n && own.m == grid.m, "plan(pattern, n, m): the plan is for ", own.n, "x", own.m,
                    " and must have the shape of the scores, ", grid.n, "x", grid.m);
    detail::require(own.query_at == grid.query_at && own.key_at == grid.key_at,
                    "plan(pattern, n, m): the plan is for query_at = ", own.query_at, " and key_at = ", own.key_at,
                    " and must have the positions of the scores, ", grid.query_at, " and ", grid.key_at,
                    "; plan(pattern, grid) takes them");
    detail::check(planned_->pattern, grid);
  }
  bool reads(const AddressRange& target) const { return detail::reads(planned_->pattern, target); }

  /// Returns the shape and the positions that were planned.
  [[nodiscard]] const Grid& grid() const { return planned_->grid; }

  /// Returns the number of pairs that the pattern keeps, exactly.
  ///
  /// Cost  the ranges of each query by itself, once for queries that are alike; keys in neither covers nor contains are
  ///       asked for, so where(f) is asked for every pair
  [[nodiscard]] Index pairs() const { return count(std::numeric_limits<double>::infinity()).least; }

  /// Returns the fraction of all pairs that the pattern keeps.
  ///
  /// Formula    pairs() / (n · m)
  [[nodiscard]] double density() const { return share_of(pairs()); }

  /// Returns how many tiles are full and how many are partial, as far as the plan knows; no pair is evaluated.
  [[nodiscard]] TileCount tiles() const {
    constexpr Index size = 64;
    const Grid& grid = planned_->grid;
    const Index across = (grid.m + size - 1) / size;
    TileCount result{.all = (grid.n + size - 1) / size * across};
    detail::Coverage coverage;
    for (Index r = 0; r < grid.n; r += size) {
      const Index p0 = grid.query_at + r, p1 = (std::min)(p0 + size, grid.query_at + grid.n);
      detail::plan_rows(*this, p0, p1, grid, coverage);
      // A group that reaches beyond the tile makes it look looser than it is.
      const Index mark = coverage.maybe.size();
      detail::covers(planned_->pattern, p0, p1, grid, coverage.maybe);
      coverage.maybe.intersect(0, mark);
      detail::contains(planned_->pattern, p0, p1, grid, coverage.sure);
      coverage.sure.normalize(0, grid);
      Index full = 0, touched = 0, next = 0;  // tiles before `next` are counted
      for (const Range& range : coverage.maybe) {
        const Index end = (grid.column(range.end) + size - 1) / size;
        touched += end - (std::max)(grid.column(range.begin) / size, next);
        next = end;
      }
      for (const Range& range : coverage.sure) {
        const Index begin = (grid.column(range.begin) + size - 1) / size;
        const Index end = range.end == grid.key_end() ? across : grid.column(range.end) / size;
        full += std::max<Index>(end - begin, 0);
      }
      result.full += full;
      result.partial += touched - full;
    }
    return result;
  }

  /// Returns the memory that the plan holds, without that of the pattern itself.
  [[nodiscard]] std::size_t bytes() const { return sizeof(Planned) + planned_->lists.bytes(); }

  /// Writes one line: the shape, pairs, density, tiles and memory. Where pairs() would take more than a second or so,
  /// it says between which bounds they are.
  friend std::ostream& operator<<(std::ostream& out, const Plan& plan) { return out << plan.line(); }

 private:
  struct Planned {
    P pattern;
    Grid grid;
    detail::PlannedRanges lists;
  };
  struct Bounds {
    Index least = 0, most = 0;
  };

  /// Kernels take 6 queries at a time, or 4. A query that is dear to ask gets lists of its own.
  static constexpr Index step = keeps_is_expensive ? 1 : 6;
  /// Longer lists are made anew each time, unless that is dear. So a plan has at most some 90 bytes for each query.
  static constexpr Index longest = 64;

  static void fill(const P& pattern, const Grid& grid, detail::PlannedRanges& lists) {
    detail::Coverage coverage;
    for (Index row = 0, end = 0, skip = 0; row < grid.n; row = end) {
      end = (std::min)((row / step + 1) * step, grid.n);
      const Index until = detail::same_keys_until_row(pattern, row, grid);
      const bool alike = until >= end;
      if (alike) end = until;
      const Index p0 = grid.query_at + row, p1 = alike ? p0 + 1 : grid.query_at + end;
      detail::plan_rows(pattern, p0, p1, grid, coverage);
      if (keeps_is_expensive || coverage.maybe.size() + coverage.sure.size() <= longest) {
        lists.append(row, alike, coverage, grid);
        skip = 0;
      } else {
        // What is next is as long, most likely, and to find out would take the time that it takes to ask for it later.
        lists.append_open(row);
        skip = (std::max)(2 * skip, step);
        end = (std::min)(end + skip, grid.n);
      }
    }
    lists.shrink();
  }

  /// Whether these are queries that were planned.
  [[nodiscard]] bool is_planned(Index p0, Index p1, const Grid& grid) const {
    const Grid& own = planned_->grid;
    return own.n == grid.n && own.m == grid.m && own.query_at == grid.query_at && own.key_at == grid.key_at &&
           p0 < p1 && p0 >= grid.query_at && p1 <= grid.query_at + grid.n;
  }

  /// At least and at most so many pairs; the same number after no more than so many steps.
  [[nodiscard]] Bounds count(double steps) const {
    const Grid& grid = planned_->grid;
    Bounds sum;
    detail::Coverage coverage;
    planned_->lists.each_group(grid, [&](Index first, Index last, Index least, Index most) {
      for (Index row = first, end = 0; row < last; row = end) {
        if (least == most || steps < 0) {
          sum.least += least * (last - row);
          sum.most += most * (last - row);
          return;
        }
        end = (std::min)(detail::same_keys_until_row(*this, row, grid), last);
        const Index p = grid.query_at + row;
        detail::plan_rows(*this, p, p + 1, grid, coverage);
        steps -= static_cast<double>(coverage.maybe.size() + coverage.sure.size());
        Bounds kept;
        detail::for_each_range(coverage, [&](const Range& keys, bool sure) {
          const Index size = keys.end - keys.begin;
          if (!sure) steps -= static_cast<double>(size);
          const bool asks = !sure && steps >= 0;
          const Index found = asks ? detail::count_kept(*this, p, keys, grid) : size;
          kept.least += sure || asks ? found : 0;
          kept.most += found;
        });
        sum.least += kept.least * (end - row);
        sum.most += kept.most * (end - row);
      }
    });
    return sum;
  }

  [[nodiscard]] double share_of(Index pairs) const {
    const double all = static_cast<double>(planned_->grid.n) * static_cast<double>(planned_->grid.m);
    return all > 0 ? static_cast<double>(pairs) / all : 0;
  }

  [[nodiscard]] std::string line() const {
    const Bounds kept = count(1 << 24);
    const TileCount tile = tiles();
    const auto number = [](Index i) { return std::to_string(i); };
    std::string text = number(grid().n) + " x " + number(grid().m) + ": ";
    if (kept.least == kept.most)
      text += number(kept.least) + " pairs, " + detail::percent(share_of(kept.least));
    else
      text += number(kept.least) + " to " + number(kept.most) + " pairs, " + detail::percent(share_of(kept.least)) +
              " to " + detail::percent(share_of(kept.most));
    text +=
        "; of " + number(tile.all) + " tiles " + number(tile.full) + " full, " + number(tile.partial) + " partial; ";
    const auto size = static_cast<double>(bytes());
    return text + (size < 1e6 ? detail::three_digits(size / 1e3) + " kB" : detail::three_digits(size / 1e6) + " MB");
  }

  std::shared_ptr<const Planned> planned_;
};

/// Plans a pattern once for all heads, layers and calls with scores of one shape. The plan is a pattern itself:
/// `scores(Q, K) | plan | softmax()`.
///
/// Queries stand where those of scores(Q, K) do, the last one at the last key; with other positions, give the grid.
/// Cost       the ranges of every six queries, or of each where keys are drawn; once for those that are alike. Lists of
///            more than 64 ranges are not stored, so memory is at most some 90 bytes for each query, unless keys are
///            drawn
/// Aliasing   what the pattern refers to must stay as it is, as long as the plan lives
/// Throws     Error if n or m is negative or too large, or the pattern does not fit; later, if the scores have another
///            shape or other positions
template <PatternStage P>
Plan<std::remove_cvref_t<P>> plan(P&& pattern, const Grid& grid) {
  constexpr Index most = (std::numeric_limits<Column>::max)() - 1024;
  detail::require(grid.n >= 0 && grid.n <= most, "plan(pattern, n, m): n must be within 0 and ", most, ", got ",
                  grid.n);
  detail::require(grid.m >= 0 && grid.m <= most, "plan(pattern, n, m): m must be within 0 and ", most, ", got ",
                  grid.m);
  detail::check(pattern, grid);
  return {std::forward<P>(pattern), grid};
}
/// Plans a pattern once, for the positions that scores(Q, K) has.
template <PatternStage P>
Plan<std::remove_cvref_t<P>> plan(P&& pattern, Index n, Index m) {
  return plan(std::forward<P>(pattern), Grid{.n = n, .m = m, .query_at = m - n, .key_at = 0});
}

}  // namespace filigree
