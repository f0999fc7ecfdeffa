// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "filigree/core/generator.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/pattern/coverage.hpp"

namespace filigree::detail {

/// The number of pairs that a pattern keeps in each cell of height x width pairs. Cells at the border are smaller.
///
/// The counts are exact if they take less than about 10^8 steps. Otherwise they are estimated by stratified sampling:
/// 16 queries of each row of cells and, where keeps() must be evaluated, 16 keys of each cell.
class DensityMap {
 public:
  /// Computes at most max_cells x max_cells cells. n and m must be at least 1.
  template <PatternStage P>
  DensityMap(const P& pattern, const Grid& grid, Index max_cells)
      : grid_(grid),
        height_(ceil_div(grid.n, max_cells)),
        width_(ceil_div(grid.m, max_cells)),
        rows_(ceil_div(grid.n, height_)),
        cols_(ceil_div(grid.m, width_)),
        kept_(static_cast<std::size_t>(rows_ * cols_)) {
    exact_ = steps(pattern) < 1e8;
    for (Index a = 0; a < rows_; ++a) exact_ ? count(pattern, a) : estimate(pattern, a);
  }

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return cols_; }
  /// Returns the number of queries per cell.
  [[nodiscard]] Index height() const { return height_; }
  /// Returns the number of keys per cell.
  [[nodiscard]] Index width() const { return width_; }
  [[nodiscard]] bool exact() const { return exact_; }
  /// Returns the total number of kept pairs.
  [[nodiscard]] double pairs() const {
    double sum = 0;
    for (const double kept : kept_) sum += kept;
    return sum;
  }
  /// Returns the fraction of the pairs of a cell that the pattern keeps.
  [[nodiscard]] double fraction(Index a, Index b) const {
    const auto size = [](Index i, Index step, Index end) { return (std::min)((i + 1) * step, end) - i * step; };
    return kept_[at(a, b)] / static_cast<double>(size(a, height_, grid_.n) * size(b, width_, grid_.m));
  }

 private:
  static constexpr Index strata = 16;

  [[nodiscard]] std::size_t at(Index a, Index b) const { return static_cast<std::size_t>(a * cols_ + b); }

  /// Estimates the number of steps of count(), from one query in each row of cells.
  template <PatternStage P>
  [[nodiscard]] double steps(const P& pattern) const {
    double sum = 0;
    Coverage coverage;
    for (Index a = 0; a < rows_; ++a) {
      const Index row = (std::min)(a * height_ + height_ / 2, grid_.n - 1), p = grid_.query_at + row;
      plan_rows(pattern, p, p + 1, grid_, coverage);
      auto cost = static_cast<double>(coverage.maybe.size() + coverage.sure.size());
      for_each_range(coverage, [&](const Range& keys, bool sure) {
        const Index size = keys.end - keys.begin;
        cost += static_cast<double>(sure ? size / width_ : size);
      });
      sum += cost * static_cast<double>(height_) /
             static_cast<double>(std::clamp<Index>(same_keys_until_row(pattern, row, grid_) - row, 1, height_));
    }
    return sum;
  }

  /// Adds the pairs kept by `queries` equal queries in a range of keys, cell by cell. f(range) returns the number of
  /// keys that one query keeps.
  template <class F>
  void add(Index a, double queries, const Range& keys, F&& f) {
    for (Index j = keys.begin; j < keys.end;) {
      const Index b = grid_.column(j) / width_;
      const Index next = (std::min)(keys.end, grid_.key_at + (std::min)((b + 1) * width_, grid_.m));
      kept_[at(a, b)] += queries * f(Range{j, next});
      j = next;
    }
  }

  template <PatternStage P>
  void count(const P& pattern, Index a) {
    Coverage coverage;
    const Index last = (std::min)((a + 1) * height_, grid_.n);
    for (Index row = a * height_, end = 0; row < last; row = end) {
      end = (std::min)(same_keys_until_row(pattern, row, grid_), last);
      const Index p = grid_.query_at + row;
      plan_rows(pattern, p, p + 1, grid_, coverage);
      for_each_range(coverage, [&](const Range& range, bool sure) {
        add(a, static_cast<double>(end - row), range, [&](const Range& keys) {
          return static_cast<double>(sure ? keys.end - keys.begin : count_kept(pattern, p, keys, grid_));
        });
      });
    }
  }

  template <PatternStage P>
  void estimate(const P& pattern, Index a) {
    Coverage coverage;
    Generator random(1, static_cast<std::uint64_t>(a));
    // Calls f for one random index of each stratum, and returns the number of indices per stratum.
    const auto draw = [&](Index begin, Index end, auto&& f) {
      const Index count = end - begin, samples = (std::min)(strata, count);
      for (Index s = 0; s < samples; ++s) {
        const Index low = begin + s * count / samples, high = begin + (s + 1) * count / samples;
        f(high - low == 1 ? low : low + random.below(high - low));
      }
      return static_cast<double>(count) / static_cast<double>(samples);
    };
    const Index first = a * height_, last = (std::min)(first + height_, grid_.n);
    const double queries = static_cast<double>(last - first) / static_cast<double>((std::min)(strata, last - first));
    draw(first, last, [&](Index row) {
      const Index p = grid_.query_at + row;
      plan_rows(pattern, p, p + 1, grid_, coverage);
      for_each_range(coverage, [&](const Range& range, bool sure) {
        add(a, queries, range, [&](const Range& keys) {
          if (sure) return static_cast<double>(keys.end - keys.begin);
          double kept = 0;
          const auto evaluate = [&](Index j) { kept += keeps(pattern, p, j, grid_) ? 1 : 0; };
          const double keys_per_stratum = draw(keys.begin, keys.end, evaluate);
          return kept * keys_per_stratum;
        });
      });
    });
  }

  Grid grid_;
  Index height_, width_, rows_, cols_;
  std::vector<double> kept_;  // [rows][cols]
  bool exact_;
};

}  // namespace filigree::detail
