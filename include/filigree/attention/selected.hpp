// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <vector>

#include "filigree/pipe/weights.hpp"
#include "filigree/select/top_k.hpp"

namespace filigree {

/// Which columns each row keeps, and their values after the last stage, best first.
template <Real S>
struct Selected {
  Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> columns;  // n x k, -1 where a row has fewer
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> weights;      // n x k, 0 there
};

/// Returns the entries of A that are present, as lists instead of a matrix, best first.
///
/// Shapes     A: n x m; the result is n x k with k the min(k, m) of the last top_k(k), else the longest row's entries
/// Cost       that of A, O(n k) memory
/// Edge case  falling values, NaN first, ties to the lowest column; -1 and 0 fill rows with fewer than k entries
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
  const auto at_most = [&](const auto& stage) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(stage)>, TopK>)
      k = static_cast<std::size_t>((std::min)(stage.k, a.cols()));
  };
  std::apply([&](const auto&... stage) { (at_most(stage), ...); }, a.stages());
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
