// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <tuple>
#include <vector>

#include "filigree/engine/form.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/pipe/weights.hpp"

namespace filigree {

/// The columns that each row keeps and their values after the last stage, in descending order of the values.
template <Real S>
struct Selected {
  Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> columns;  // n x k, padded with -1
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> weights;      // n x k, padded with 0
};

namespace detail {

/// Calls f(position, index) for each value, with its position in descending order. NaN comes first, ties in the order
/// of their indices.
template <Real S, class F>
void for_each_descending(const S* values, Index count, const F& f) {
  if (count <= kernel::max_sorted) {
    Column positions[kernel::max_sorted];
    kernel::kernels<S>().positions_of(values, count, positions);
    for (Index e = 0; e < count; ++e) f(Index{positions[e]}, e);
    return;
  }
  std::vector<Column> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Column(0));
  std::sort(order.begin(), order.end(), [&](Column a, Column b) {
    const S x = values[a], y = values[b];
    if ((x != x) != (y != y)) return x != x;
    return x > y || (!(y > x) && a < b);
  });
  Index position = 0;
  for (const Column e : order) f(position++, Index{e});
}

}  // namespace detail

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
  Selected<S> result;
  const auto resize = [&](Index k) {
    result.columns.setConstant(a.row_count(), k, -1);
    result.weights.setZero(a.row_count(), k);
  };
  const auto write = [&](Index i, const Column* columns, const S* values, Index count) {
    detail::for_each_descending(
        values, count,
        [&, to = result.columns.row(i).data(), w = result.weights.row(i).data()](Index position, Index e) {
          to[position] = columns[e];
          w[position] = values[e];
        });
  };
  const detail::Session session(a.execution());
  const auto each_row = [&](const auto& use) {
    a.for_each_row(session, [&](const Row<S>& row, detail::WorkerScratch&) { use(row.index - a.first_row(), row); });
  };
  Index limit = -1;
  const auto limit_to_top_k = [&](const auto& stage) {
    if constexpr (detail::is_top_k<decltype(stage)>) limit = (std::min)(stage.k, a.cols());
  };
  std::apply([&](const auto&... stage) { (limit_to_top_k(stage), ...); }, a.stages());
  if (limit >= 0) {
    resize(limit);
    each_row([&](Index i, const Row<S>& row) { write(i, row.columns, row.values, row.count); });
    return result;
  }
  struct List {
    std::vector<Column> columns;
    std::vector<S> values;
  };
  std::vector<List> rows(static_cast<std::size_t>(a.row_count()));
  each_row([&](Index i, const Row<S>& row) {
    List& list = rows[static_cast<std::size_t>(i)];
    list.columns.assign(row.columns, row.columns + row.count);
    list.values.assign(row.values, row.values + row.count);
  });
  std::size_t longest = 0;
  for (const List& list : rows) longest = (std::max)(longest, list.values.size());
  resize(static_cast<Index>(longest));
  for (Index i = 0; i < a.row_count(); ++i) {
    const List& list = rows[static_cast<std::size_t>(i)];
    write(i, list.columns.data(), list.values.data(), static_cast<Index>(list.values.size()));
  }
  return result;
}

}  // namespace filigree
