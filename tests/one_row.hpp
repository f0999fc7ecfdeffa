// SPDX-License-Identifier: MIT
// Rows and matrices for tests of single stages without a pipeline.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

#include "filigree/core/generator.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/stage/dense_matrix.hpp"
#include "filigree/stage/dense_row.hpp"
#include "filigree/stage/stage.hpp"

template <class S>
inline constexpr S absent = -std::numeric_limits<S>::infinity();
template <class S>
inline constexpr S nan_of = std::numeric_limits<S>::quiet_NaN();
template <class S>
inline constexpr S infinity_of = std::numeric_limits<S>::infinity();

/// Returns true if two numbers are equal with the same sign bit, or both NaN.
template <class S>
bool same(S a, S b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}
template <class S>
bool same(const std::vector<S>& a, const std::vector<S>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](S x, S y) { return same(x, y); });
}

/// One row of values, with -inf for absent entries. The memory after its entries holds NaN, to detect reads of it.
template <class S>
class OneRow {
 public:
  explicit OneRow(const std::vector<S>& all, filigree::Grid grid, Eigen::Index index = 0)
      : grid_(grid), index_(index), values_(all.size() + padding, nan_of<S>), columns_(all.size() + padding, -7) {
    for (std::size_t c = 0; c < all.size(); ++c) {
      if (all[c] == absent<S>) continue;
      values_[static_cast<std::size_t>(count_)] = all[c];
      columns_[static_cast<std::size_t>(count_++)] = static_cast<filigree::Column>(c);
    }
  }
  explicit OneRow(const std::vector<S>& all)
      : OneRow(all, {.n = 1,
                     .m = static_cast<Eigen::Index>(all.size()),
                     .query_at = static_cast<Eigen::Index>(all.size()) - 1}) {}

  template <class Stage>
  OneRow& apply(const Stage& stage) {
    filigree::Row<S> row{.grid = grid_,
                         .index = index_,
                         .values = values_.data(),
                         .columns = columns_.data(),
                         .count = count_,
                         .scratch = scratch_};
    filigree::detail::apply(stage, row);
    count_ = row.count;
    maximum = row.maximum;
    sum = row.sum;
    return *this;
  }

  [[nodiscard]] std::vector<S> dense() const {
    std::vector<S> all(static_cast<std::size_t>(grid_.m), absent<S>);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count_); ++i)
      all[static_cast<std::size_t>(columns_[i])] = values_[i];
    return all;
  }
  [[nodiscard]] bool ascends() const {
    return std::is_sorted(columns_.begin(), columns_.begin() + count_, std::less_equal<>());
  }
  [[nodiscard]] Eigen::Index count() const { return count_; }

  S maximum = 0, sum = 0;

 private:
  static constexpr std::size_t padding = static_cast<std::size_t>(filigree::Row<S>::padding);
  filigree::Grid grid_;
  Eigen::Index index_;
  Eigen::Index count_ = 0;
  std::vector<S> values_;
  std::vector<filigree::Column> columns_;
  filigree::RowScratch scratch_;
};

/// Returns a row after a stage, with -inf for absent entries.
template <class S, class Stage>
std::vector<S> after(const Stage& stage, const std::vector<S>& all) {
  return OneRow<S>(all).apply(stage).dense();
}

/// Returns a row after a stage that was applied to the dense row, with -inf for absent entries.
template <class S, class Stage>
std::vector<S> after_dense(const Stage& stage, const std::vector<S>& all, const filigree::Grid& grid,
                           Eigen::Index index = 0) {
  std::vector<S> values = all;
  values.resize(all.size() + static_cast<std::size_t>(filigree::DenseRow<S>::padding), nan_of<S>);
  filigree::RowScratch scratch;
  std::vector<filigree::Column> columns(values.size());
  if constexpr (filigree::detail::ListsKept<Stage, S>) {
    std::vector<S> result(all.size(), absent<S>);
    const auto m = static_cast<Eigen::Index>(all.size());
    const Eigen::Index count = stage.list_kept(all.data(), m, values.data(), columns.data());
    for (std::size_t e = 0; e < static_cast<std::size_t>(count); ++e)
      result[static_cast<std::size_t>(columns[e])] = values[e];
    return std::is_sorted(columns.begin(), columns.begin() + count, std::less_equal<>()) ? result : std::vector<S>{};
  } else {
    filigree::DenseRow<S> row{.grid = grid, .index = index, .values = values.data(), .scratch = scratch};
    filigree::detail::apply_dense(stage, row, columns.data());
    values.resize(all.size());
    return values;
  }
}
template <class S, class Stage>
std::vector<S> after_dense(const Stage& stage, const std::vector<S>& all) {
  const auto m = static_cast<Eigen::Index>(all.size());
  return after_dense(stage, all, {.n = 1, .m = m, .query_at = m - 1});
}

/// Returns the rows of a matrix after a matrix stage, with -inf for absent entries. The rows after the stage are dense
/// or lists.
template <class S, class Stage>
std::vector<std::vector<S>> matrix_after(const Stage& stage, const std::vector<std::vector<S>>& rows, bool lists) {
  using Eigen::Index;
  const auto n = static_cast<Index>(rows.size()), m = n == 0 ? Index{0} : static_cast<Index>(rows[0].size());
  const filigree::Grid grid{.n = n, .m = m, .query_at = m - n};
  const Index stride = m + 3;
  std::vector<S> data(static_cast<std::size_t>(n * stride), nan_of<S>);
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy(rows[i].begin(), rows[i].end(), data.begin() + static_cast<Index>(i) * stride);
  const filigree::detail::Session session({});
  filigree::detail::ScratchFrame memory(session.scratch(0));
  const auto bound = stage.bind(
      filigree::DenseMatrix<S>{.grid = grid, .data = data.data(), .stride = stride, .memory = memory}, session);
  std::vector<std::vector<S>> result;
  for (Index i = 0; i < n; ++i) {
    std::vector<S> row = rows[static_cast<std::size_t>(i)];
    if (lists) {
      result.push_back(OneRow<S>(row, grid, i).apply(bound).dense());
      continue;
    }
    filigree::RowScratch scratch;
    row.resize(row.size() + static_cast<std::size_t>(filigree::Row<S>::padding), nan_of<S>);
    filigree::DenseRow<S> dense{.grid = grid, .index = i, .values = row.data(), .scratch = scratch};
    bound.apply_dense(dense);
    row.resize(static_cast<std::size_t>(m));
    result.push_back(row);
  }
  return result;
}

/// Returns a random row with absent entries: normal, heavy-tailed, with few distinct values, or constant. With
/// `special_values` it may also hold NaN, infinities, both zeros and denormals.
template <class S>
std::vector<S> random_row(filigree::Generator& g, Eigen::Index m, bool special_values) {
  std::vector<S> row(static_cast<std::size_t>(m));
  const Eigen::Index kind = g.below(4), gaps = g.below(3);
  const bool with_special = special_values && g.below(2) == 0;
  for (S& x : row) {
    const double z = g.normal();
    x = static_cast<S>(kind == 0   ? z
                       : kind == 1 ? z * z * z * std::exp(3 * g.normal())
                       : kind == 2 ? std::round(z)
                                   : 0.25);
    if (with_special && g.below(8) == 0) {
      const S special[] = {nan_of<S>,
                           infinity_of<S>,
                           S(0),
                           -S(0),
                           std::numeric_limits<S>::denorm_min(),
                           -std::numeric_limits<S>::denorm_min(),
                           std::numeric_limits<S>::lowest()};
      x = special[g.below(7)];
    }
    if (gaps > 0 && g.below(2 * gaps) == 0) x = absent<S>;
  }
  return row;
}

/// Returns the indices of the present entries, ranked: NaN first, then larger values, ties by the lowest index.
template <class S>
std::vector<std::size_t> ranking(const std::vector<S>& all) {
  std::vector<std::size_t> order;
  for (std::size_t c = 0; c < all.size(); ++c)
    if (all[c] != absent<S>) order.push_back(c);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::isnan(all[a]) ? !std::isnan(all[b]) : all[a] > all[b];
  });
  return order;
}

/// Returns a row with only the first `keep` entries of an order present.
template <class S>
std::vector<S> only(const std::vector<S>& all, const std::vector<std::size_t>& order, std::size_t keep) {
  std::vector<S> kept(all.size(), absent<S>);
  for (std::size_t r = 0; r < std::min(keep, order.size()); ++r) kept[order[r]] = all[order[r]];
  return kept;
}
