// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/stage/dense_matrix.hpp"
#include "filigree/stage/dense_row.hpp"
#include "filigree/stage/stage.hpp"

// The largest values or magnitudes of a whole matrix, by the exact order statistic that bounds them. A sample brackets
// the bound. One pass then counts the values outside the bracket and collects those inside it, of which one is the
// bound. If the bracket is wrong, the values on the side where the bound is are collected in another pass.

namespace filigree::detail {

/// How many of the present entries of a matrix a stage keeps: all but a fraction, and at most `most`.
struct KeptCount {
  Index most = (std::numeric_limits<Index>::max)();
  double dropped = 0;

  [[nodiscard]] Index of(Index present) const {
    return (std::min)(most, present - static_cast<Index>(std::floor(dropped * static_cast<double>(present))));
  }
};

/// Selector that keeps the entries above a bound. Of those that are equal to it, it keeps the ones up to a place in
/// row-major order.
template <Real S>
struct RankBound {
  using Category = Selector;
  bool magnitude;  // compares magnitudes
  S bound;         // NaN: only NaN is kept
  Index last_row = (std::numeric_limits<Index>::max)();
  Index last_column = 0;

  void apply(Row<S>& row) const {
    const auto list = [&](bool keeps_ties) {
      if (drops_all(keeps_ties))
        row.count = 0;
      else
        row.count = kernel::kernels<S>().list_from_bound(row.values, row.columns, row.count, magnitude, limit(),
                                                         keeps_ties && !nan_only());
    };
    if (row.index != last_row) return list(row.index < last_row);
    row.filter([&](Index e) {
      const S x = magnitude ? std::abs(row.values[e]) : row.values[e];
      return x != x ? !nan_only() || row.columns[e] <= last_column
                    : x > bound || (x == bound && row.columns[e] <= last_column);
    });
  }

  void apply_dense(DenseRow<S>& row) const {
    const Index m = row.size(), ties = row.index < last_row ? m : row.index > last_row ? 0 : last_column + 1;
    keep(row.values, ties, true);
    keep(row.values + ties, m - ties, false);
  }

 private:
  [[nodiscard]] bool nan_only() const { return bound != bound; }
  [[nodiscard]] S limit() const { return nan_only() ? std::numeric_limits<S>::infinity() : bound; }
  [[nodiscard]] bool drops_all(bool keeps_ties) const { return nan_only() && !keeps_ties; }
  void keep(S* values, Index count, bool keeps_ties) const {
    if (drops_all(keeps_ties))
      std::fill_n(values, count, DenseRow<S>::absent);
    else
      kernel::kernels<S>().keep_from_bound(values, count, magnitude, limit(), keeps_ties && !nan_only());
  }
};

/// Finds the bound of the largest entries of a matrix.
template <Real S>
class RankSearch {
 public:
  RankSearch(const DenseMatrix<S>& X, const Session& session, bool magnitude)
      : X_(X),
        session_(session),
        magnitude_(magnitude),
        rows_((std::max)(chunk / (std::max)(X.grid.m, Index{1}), Index{1})),
        pieces_((std::max)(ceil_div(X.grid.m, chunk), Index{1})),
        tasks_(ceil_div(X.grid.n, rows_) * pieces_) {}

  RankBound<S> find(const KeptCount& kept) const {
    if (X_.grid.n == 0 || X_.grid.m == 0) return keep_all();
    if (X_.grid.n == 1 && X_.grid.m <= short_row && kept.dropped == 0 && !magnitude_) return of_row(kept.most);
    auto [lo, hi] = bracket(kept);
    bool complete = X_.grid.n * X_.grid.m <= chunk;
    for (;;) {
      ScratchFrame frame(session_.scratch(0));
      auto* const parts = frame.take<Division>(tasks_);
      const Division division = divide(lo, hi, complete ? chunk_size() : chunk_size() / 4, parts, frame);
      const Index keep = kept.of(division.present), above_lo = division.between + division.from_hi;
      if (keep >= division.present) return keep_all();
      if (keep == 0) return {.magnitude = magnitude_, .bound = infinity, .last_row = -1};
      if (keep <= division.above_hi && hi == infinity)
        return bounded(std::numeric_limits<S>::quiet_NaN(), keep, division.above_hi);
      if (keep > division.above_hi && keep <= division.from_hi)
        return bounded(hi, keep - division.above_hi, division.from_hi - division.above_hi);
      if (keep > division.from_hi && keep <= above_lo) {
        if (division.between <= division.capacity) return among(division, parts, keep - division.from_hi);
      } else if (keep > above_lo && keep <= division.from_lo) {
        return bounded(lo, keep - above_lo, division.from_lo - above_lo);
      } else if (keep <= division.above_hi) {
        lo = std::exchange(hi, infinity);
      } else {
        hi = std::exchange(lo, -infinity);
      }
      complete = true;
    }
  }

 private:
  using Division = kernel::Division<S>;
  static constexpr S infinity = std::numeric_limits<S>::infinity();
  static constexpr Index chunk = 65536, samples = 16384, short_row = 1024;

  [[nodiscard]] RankBound<S> keep_all() const { return {.magnitude = magnitude_, .bound = -infinity, .last_row = -1}; }
  [[nodiscard]] Index chunk_size() const { return (std::min)(rows_, X_.grid.n) * (std::min)(X_.grid.m, chunk); }

  /// Returns the bound of a single short row from the list of its k largest entries.
  [[nodiscard]] RankBound<S> of_row(Index k) const {
    ScratchFrame frame(session_.scratch(0));
    S* const values = frame.take<S>(X_.grid.m + Row<S>::padding);
    auto* const columns = frame.take<Column>(X_.grid.m + Row<S>::padding);
    const Index count = kernel::kernels<S>().copy_top_k(X_.row(0), X_.grid.m, k, values, columns);
    if (count < k) return keep_all();
    Index last = count - 1;
    for (Index e = count - 2; e >= 0; --e)
      if (values[e] < values[last] || (values[e] == values[e] && values[last] != values[last])) last = e;
    return {.magnitude = false, .bound = values[last], .last_row = 0, .last_column = columns[last]};
  }

  /// Calls f(values, count) for the parts of rows of a task.
  template <class F>
  void for_each_part(Index task, const F& f) const {
    const Index first = task / pieces_ * rows_, column = task % pieces_ * chunk;
    for (Index i = first; i < (std::min)(first + rows_, X_.grid.n); ++i)
      f(X_.row(i) + column, (std::min)(chunk, X_.grid.m - column));
  }

  struct Bracket {
    S lo, hi;
  };
  /// Returns two bounds between which the bound is, very probably. For few values, they are infinite.
  [[nodiscard]] Bracket bracket(const KeptCount& kept) const {
    const Index m = X_.grid.m, entries = X_.grid.n * m, stride = entries / samples;
    if (entries <= chunk) return {-infinity, infinity};
    ScratchFrame frame(session_.scratch(0));
    S* const sample = frame.take<S>(samples + Row<S>::padding);
    const Index range = (std::min)(stride, Index{1} << 31);  // its product with 32 bits does not overflow
    Index present = 0;
    for (Index s = 0; s < samples; ++s) {
      // One of each `stride` values: at random, so that no regular matrix deceives the sample.
      const auto hash = static_cast<std::uint64_t>(s + 1) * 0x9E3779B97F4A7C15U;
      const auto mixed = ((hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93U) >> 32;
      const Index e = s * stride + static_cast<Index>((mixed * static_cast<std::uint64_t>(range)) >> 32);
      const S x = X_.stride == m ? X_.data[e] : X_.row(e / m)[e % m];
      sample[present] = magnitude_ && x != -infinity ? std::abs(x) : x;
      present += x == -infinity ? 0 : 1;
    }
    const double scale = static_cast<double>(stride);
    const auto estimate = static_cast<Index>(static_cast<double>(present) * scale);
    const double rank = static_cast<double>(kept.of(estimate)) / scale;
    const double margin = 5 * std::sqrt((std::max)(rank * (1 - rank / (1 + static_cast<double>(present))), 0.0)) + 5;
    const auto order = [&](double r, S beyond) {
      const S x = kernel::kernels<S>().kth_largest(sample, present, static_cast<Index>(r)).value;
      return x == x ? x : beyond;
    };
    const S hi =
        rank - margin < 1 || rank - margin > static_cast<double>(present) ? infinity : order(rank - margin, infinity);
    const S lo = rank + margin > static_cast<double>(present) ? -infinity : order(rank + margin, infinity);
    return {lo, hi};
  }

  /// Divides the entries of the matrix. Each task collects up to `capacity` entries; more are a failure, for which
  /// `between` exceeds `capacity`. Otherwise, `values` are all entries between the bounds.
  Division divide(S lo, S hi, Index capacity, Division* parts, ScratchFrame& frame) const {
    const Index stride = capacity + Row<S>::padding;
    S* const values = frame.take<S>(size_product(tasks_, stride));
    session_.run(tasks_, [&](Index task, Index) {
      Division part{.lo = lo, .hi = hi, .values = values + task * stride, .capacity = capacity};
      for_each_part(task, [&](const S* x, Index count) { kernel::kernels<S>().divide(x, count, magnitude_, part); });
      parts[task] = part;
    });
    Division all{.lo = lo, .hi = hi, .values = values, .capacity = size_product(tasks_, stride)};
    for (Index task = 0; task < tasks_; ++task) {
      const Division& part = parts[task];
      if (part.between > capacity) all.capacity = -1;
      if (all.capacity >= 0) std::copy_n(part.values, part.between, values + all.between);
      all.between += part.between;
      all.above_hi += part.above_hi;
      all.from_hi += part.from_hi;
      all.from_lo += part.from_lo;
      all.present += part.present;
    }
    return all;
  }

  /// Returns the bound if it is the k-th largest of the collected entries.
  [[nodiscard]] RankBound<S> among(const Division& division, const Division* parts, Index k) const {
    const auto& kernels = kernel::kernels<S>();
    const auto [bound, may_repeat] = kernels.kth_largest(division.values, division.between, k);
    if (!may_repeat) return {.magnitude = magnitude_, .bound = bound};
    S ignored[Row<S>::padding];
    Division part{.lo = bound, .hi = bound, .values = ignored, .capacity = 0};
    kernels.divide(division.values, division.between, false, part);
    Index kept = k - part.above_hi;
    if (kept == part.from_hi - part.above_hi) return {.magnitude = magnitude_, .bound = bound};
    // The entries were collected in their order in the matrix.
    Index task = 0;
    for (const S* values = division.values;; values += parts[task++].between) {
      const Index equal = kernels.count_equal(values, parts[task].between, false, bound);
      if (kept <= equal) return bounded_in(task, bound, kept);
      kept -= equal;
    }
  }

  /// Returns a bound that keeps the first `kept` of the entries that are equal to it.
  [[nodiscard]] RankBound<S> bounded(S bound, Index kept, Index equal) const {
    if (kept == equal) return {.magnitude = magnitude_, .bound = bound};
    ScratchFrame frame(session_.scratch(0));
    auto* const counts = frame.take<Index>(tasks_);
    session_.run(tasks_, [&](Index task, Index) {
      counts[task] = 0;
      for_each_part(task, [&](const S* x, Index count) { counts[task] += count_equal(x, count, bound); });
    });
    Index task = 0;
    for (; kept > counts[task]; ++task) kept -= counts[task];
    return bounded_in(task, bound, kept);
  }

  /// The same for the entries of one task and those before it. `kept` counts only those of the task.
  [[nodiscard]] RankBound<S> bounded_in(Index task, S bound, Index kept) const {
    Index row = task / pieces_ * rows_, column = task % pieces_ * chunk;
    const auto skip = [&](Index count) {  // unless the last entry that is kept is one of these
      const Index equal = count_equal(X_.row(row) + column, count, bound);
      if (kept <= equal) return false;
      kept -= equal;
      return true;
    };
    while (skip((std::min)(chunk, X_.grid.m - column))) ++row;
    while (skip((std::min)(Index{64}, X_.grid.m - column))) column += 64;
    while (skip(1)) ++column;
    return {.magnitude = magnitude_, .bound = bound, .last_row = row, .last_column = column};
  }
  [[nodiscard]] Index count_equal(const S* values, Index count, S bound) const {
    return kernel::kernels<S>().count_equal(values, count, magnitude_, bound);
  }

  const DenseMatrix<S>& X_;
  const Session& session_;
  bool magnitude_;
  Index rows_, pieces_, tasks_;  // rows of a task; parts of a row that are tasks of their own, if rows are long
};

}  // namespace filigree::detail
