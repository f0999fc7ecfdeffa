// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <tuple>
#include <vector>

#include "filigree/engine/form.hpp"
#include "filigree/pipe/weights.hpp"

namespace filigree {

/// The columns that each row keeps and their values after the last stage, in descending order of the values.
template <Real S>
struct Selected {
  Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> columns;  // n x k, padded with -1
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> weights;      // n x k, padded with 0
};

/// Returns the present entries of each row of A as lists, in descending order.
///
/// Shapes     A: n x m; result: n x k, where k = min(k, m) of the last top_k(k), or the entries of the longest row
/// Cost       the cost of A, and O(n k) memory
/// Edge case  NaN comes first; ties go to the lowest column; rows with fewer than k entries are padded with -1 and 0
template <detail::WeightsExpression A>
auto selected(const A& a) {
  using S = typename A::Scalar;
  static_assert(!A::is_column, "filigree: selected(A): A is a column vector");
  a.check();
  std::vector<std::vector<std::pair<Column, S>>> rows(static_cast<std::size_t>(a.row_count()));
  const detail::Session session(a.execution());
  a.for_each_row(session, [&](const Row<S>& row, detail::WorkerScratch&) {
    auto& list = rows[static_cast<std::size_t>(row.index - a.first_row())];
    list.reserve(static_cast<std::size_t>(row.count));
    for (Index e = 0; e < row.count; ++e) list.emplace_back(row.columns[e], row.values[e]);
    std::sort(list.begin(), list.end(), [](const auto& x, const auto& y) {
      const bool x_nan = x.second != x.second, y_nan = y.second != y.second;
      if (x_nan != y_nan) return x_nan;
      return x.second > y.second || (!(y.second > x.second) && x.first < y.first);
    });
  });
  std::size_t k = 0;
  for (const auto& list : rows) k = (std::max)(k, list.size());
  const auto limit_to_top_k = [&](const auto& stage) {
    if constexpr (detail::is_top_k<decltype(stage)>) k = static_cast<std::size_t>((std::min)(stage.k, a.cols()));
  };
  std::apply([&](const auto&... stage) { (limit_to_top_k(stage), ...); }, a.stages());
  Selected<S> result;
  result.columns.setConstant(a.row_count(), static_cast<Index>(k), -1);
  result.weights.setZero(a.row_count(), static_cast<Index>(k));
  for (Index i = 0; i < a.row_count(); ++i) {
    const auto& list = rows[static_cast<std::size_t>(i)];
    for (Index e = 0; e < static_cast<Index>(list.size()); ++e) {
      result.columns(i, e) = list[static_cast<std::size_t>(e)].first;
      result.weights(i, e) = list[static_cast<std::size_t>(e)].second;
    }
  }
  return result;
}

}  // namespace filigree
