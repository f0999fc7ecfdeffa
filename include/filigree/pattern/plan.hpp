// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/digits.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/pattern/coverage.hpp"
#include "filigree/pattern/planned_ranges.hpp"
#include "filigree/pattern/tile_plan.hpp"

namespace filigree {

/// A pattern with precomputed key ranges. It keeps the same pairs as the original pattern. Copies share the ranges.
template <PatternStage P>
class Plan {
 public:
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = detail::keeps_is_expensive<P>;
  static constexpr bool ranges_are_exact =
      keeps_is_expensive && detail::ranges_are_exact<P>;  // in this case, each query is planned separately

  // Called by plan(). The queries after those whose lists take `max_bytes` are not planned in advance.
  Plan(P pattern, const Grid& grid, std::size_t max_bytes = (std::numeric_limits<std::size_t>::max)()) {
    auto planned = std::make_shared<Planned>(Planned{.pattern = std::move(pattern), .grid = grid, .lists = {}});
    fill(planned->pattern, grid, max_bytes, planned->lists);
    planned_ = std::move(planned);
  }

  bool keeps(Index p, Index j, const Grid& grid) const {
    using Kept = detail::PlannedRanges::Kept;
    if constexpr (keeps_is_expensive) {
      if (is_planned(p, p + 1, grid) && j >= grid.key_at && j < grid.key_end()) {
        const Kept kept = planned_->lists.lookup(grid.row(p), grid.column(j), grid);
        if (kept != Kept::maybe) return kept == Kept::yes;
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
                    "; use plan(pattern, grid) to plan for other positions");
    detail::check(planned_->pattern, grid);
  }
  bool reads(const AddressRange& target) const { return detail::reads(planned_->pattern, target); }

  /// Returns the planned shape and positions.
  [[nodiscard]] const Grid& grid() const { return planned_->grid; }

  /// Returns the exact number of pairs that the pattern keeps.
  ///
  /// Cost  plans each query, or once for consecutive queries with the same keys; calls keeps() for each key in covers()
  ///       but not in contains(), so where(f) is evaluated for every pair
  [[nodiscard]] Index pairs() const { return count(std::numeric_limits<double>::infinity()).lower; }

  /// Returns the fraction of all pairs that the pattern keeps.
  ///
  /// Formula    pairs() / (n · m)
  [[nodiscard]] double density() const { return fraction_of(pairs()); }

  /// Returns the numbers of full and partial tiles of 64 x 64 pairs. It does not evaluate any pair.
  [[nodiscard]] TileCount tiles() const { return tile_plan(Tight{*this}, planned_->grid).count(); }

  /// Returns the memory of the plan in bytes, without the memory of the pattern.
  [[nodiscard]] std::size_t bytes() const { return sizeof(Planned) + planned_->lists.bytes(); }

  /// Writes one line: shape, pairs, density, tiles and memory. If pairs() would take more than about a second, the line
  /// contains bounds instead of the exact number of pairs.
  friend std::ostream& operator<<(std::ostream& out, const Plan& plan) { return out << plan.line(); }

 private:
  struct Planned {
    P pattern;
    Grid grid;
    detail::PlannedRanges lists;
  };
  struct Bounds {
    Index lower = 0, upper = 0;
  };
  /// The same pattern with the ranges of both the plan and the pattern. Those of a planned group may be too loose if
  /// the group exceeds a block, those of the pattern if its keys change within a block.
  struct Tight {
    using Category = Pattern;
    const Plan& plan;

    bool keeps(Index p, Index j, const Grid& grid) const { return plan.keeps(p, j, grid); }
    Index same_keys_until(Index p, const Grid& grid) const { return plan.same_keys_until(p, grid); }
    void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
      const Index mark = out.size();
      detail::covers(plan, p0, p1, grid, out);
      const Index middle = out.size();
      detail::covers(plan.planned_->pattern, p0, p1, grid, out);
      out.intersect(mark, middle);
    }
    void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
      detail::contains(plan, p0, p1, grid, out);
      detail::contains(plan.planned_->pattern, p0, p1, grid, out);
    }
  };

  /// Queries per group. Kernels process 6 or 4 queries at a time. If keeps() is expensive, a group is a single query.
  static constexpr Index group_size = keeps_is_expensive ? 1 : 6;
  /// Longer lists of ranges are not stored unless keeps() is expensive. They are computed again when needed. This
  /// limits a plan to about 90 bytes per query.
  static constexpr Index max_ranges = 64;

  static void fill(const P& pattern, const Grid& grid, std::size_t max_bytes, detail::PlannedRanges& lists) {
    detail::Coverage coverage;
    for (Index row = 0, end = 0, skip = 0; row < grid.n; row = end) {
      if (lists.bytes() >= max_bytes) {
        lists.append_unplanned(row);
        break;
      }
      end = (std::min)((row / group_size + 1) * group_size, grid.n);
      const Index until = detail::same_keys_until_row(pattern, row, grid);
      const bool same_keys = until >= end;
      if (same_keys) end = until;
      const Index p0 = grid.query_at + row, p1 = same_keys ? p0 + 1 : grid.query_at + end;
      detail::plan_rows(pattern, p0, p1, grid, coverage);
      if (keeps_is_expensive || coverage.maybe.size() + coverage.sure.size() <= max_ranges) {
        lists.append(row, same_keys, coverage, grid);
        skip = 0;
      } else {
        // The next groups are probably as long, and testing them would cost as much as planning them later.
        lists.append_unplanned(row);
        skip = (std::max)(2 * skip, group_size);
        end = (std::min)(end + skip, grid.n);
      }
    }
    lists.shrink();
  }

  /// Returns true if the grid is the planned one and contains the queries p0 <= p < p1.
  [[nodiscard]] bool is_planned(Index p0, Index p1, const Grid& grid) const {
    const Grid& own = planned_->grid;
    return own == grid && p0 < p1 && p0 >= grid.query_at && p1 <= grid.query_at + grid.n;
  }

  /// Returns bounds on the number of pairs. They are equal if the count needs at most `steps` steps.
  [[nodiscard]] Bounds count(double steps) const {
    const Grid& grid = planned_->grid;
    Bounds sum;
    detail::Coverage coverage;
    planned_->lists.for_each_group(grid, [&](Index first, Index last, Index lower, Index upper) {
      for (Index row = first, end = 0; row < last; row = end) {
        if (lower == upper || steps < 0) {
          sum.lower += lower * (last - row);
          sum.upper += upper * (last - row);
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
          const bool evaluate = !sure && steps >= 0;
          const Index found = evaluate ? detail::count_kept(*this, p, keys, grid) : size;
          kept.lower += sure || evaluate ? found : 0;
          kept.upper += found;
        });
        sum.lower += kept.lower * (end - row);
        sum.upper += kept.upper * (end - row);
      }
    });
    return sum;
  }

  [[nodiscard]] double fraction_of(Index pairs) const {
    const double all = static_cast<double>(planned_->grid.n) * static_cast<double>(planned_->grid.m);
    return all > 0 ? static_cast<double>(pairs) / all : 0;
  }

  [[nodiscard]] std::string line() const {
    const Bounds kept = count(1 << 24);
    const TileCount tile = tiles();
    const auto number = [](Index i) { return std::to_string(i); };
    std::string text = number(grid().n) + " x " + number(grid().m) + ": ";
    if (kept.lower == kept.upper)
      text += number(kept.lower) + " pairs, " + detail::percent(fraction_of(kept.lower));
    else
      text += number(kept.lower) + " to " + number(kept.upper) + " pairs, " + detail::percent(fraction_of(kept.lower)) +
              " to " + detail::percent(fraction_of(kept.upper));
    text +=
        "; of " + number(tile.all) + " tiles " + number(tile.full) + " full, " + number(tile.partial) + " partial; ";
    const auto size = static_cast<double>(bytes());
    return text + (size < 1e6 ? detail::three_digits(size / 1e3) + " kB" : detail::three_digits(size / 1e6) + " MB");
  }

  std::shared_ptr<const Planned> planned_;
};

namespace detail {
template <class T>
inline constexpr bool is_plan = false;
template <class P>
inline constexpr bool is_plan<Plan<P>> = true;
}  // namespace detail

/// Plans a pattern once, for reuse with all heads, layers and calls on scores of one shape. The plan is itself a
/// pattern: `scores(Q, K) | plan | softmax()`.
///
/// Queries have the positions of scores(Q, K): the last query is at the last key. For other positions, pass a grid.
/// Cost       plans every six queries, or each query for random keys; plans consecutive queries with equal keys once.
///            Lists of more than 64 ranges are not stored, which limits the memory to about 90 bytes per query,
///            except for random keys
/// Aliasing   objects that the pattern refers to must not change during the lifetime of the plan
/// Throws     Error if n or m is negative or too large, or if the pattern does not fit; at evaluation, if the scores
///            have another shape or other positions
template <PatternStage P>
Plan<std::remove_cvref_t<P>> plan(P&& pattern, const Grid& grid) {
  constexpr Index max_size = (std::numeric_limits<Column>::max)() - 1024;
  detail::require(grid.n >= 0 && grid.n <= max_size, "plan(pattern, n, m): n must be between 0 and ", max_size,
                  ", got ", grid.n);
  detail::require(grid.m >= 0 && grid.m <= max_size, "plan(pattern, n, m): m must be between 0 and ", max_size,
                  ", got ", grid.m);
  detail::check(pattern, grid);
  return {std::forward<P>(pattern), grid};
}
/// Plans a pattern once, for the positions of scores(Q, K).
template <PatternStage P>
Plan<std::remove_cvref_t<P>> plan(P&& pattern, Index n, Index m) {
  return plan(std::forward<P>(pattern), Grid{.n = n, .m = m, .query_at = m - n, .key_at = 0});
}

}  // namespace filigree
