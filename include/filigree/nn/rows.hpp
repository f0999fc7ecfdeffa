// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <algorithm>

#include "filigree/pipe/workspace.hpp"

namespace filigree::detail {

/// Samples as rows, in memory of a pass.
template <Real S>
using Rows = Eigen::Map<Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
template <Real S>
using ConstRows = Eigen::Map<const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// Sums over samples run over chunks that do not depend on the number of workers, and are added in ascending order.
// Those of the chunks lie in memory of the first worker that none of the tasks uses.

inline constexpr Index rows_per_task = 64;

/// Calls f(first, last) for all of n rows, some at a time, in parallel.
template <class F>
void for_each_rows(Index n, const Session& session, F&& f) {
  session.run((n + rows_per_task - 1) / rows_per_task,
              [&](Index task, Index) { f(task * rows_per_task, (std::min)((task + 1) * rows_per_task, n)); });
}

/// The sum of f(i) over n rows.
template <class F>
double sum_over_rows(Index n, const Session& session, F&& f) {
  double* parts = session.scratch(0).sums.template get<double>(n / rows_per_task + 1);
  for_each_rows(n, session, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) sum += f(i);
    parts[first / rows_per_task] = sum;
  });
  double sum = 0;
  for (Index first = 0; first < n; first += rows_per_task) sum += parts[first / rows_per_task];
  return sum;
}

/// The sums of f(x(i, j)) over the rows i of x, one for each column; they last until the next sums of columns.
template <Real S, class F>
double* sum_columns(const ConstRows<S>& x, const Session& session, F&& f) {
  const Index n = x.rows(), cols = x.cols();
  double* parts = session.scratch(0).out.template get<double>((n / rows_per_task + 1) * cols);
  std::fill_n(parts, cols, 0.0);
  for_each_rows(n, session, [&](Index first, Index last) {
    double* part = parts + first / rows_per_task * cols;
    std::fill_n(part, cols, 0.0);
    for (Index i = first; i < last; ++i)
      for (Index j = 0; j < cols; ++j) part[j] += static_cast<double>(f(x(i, j)));
  });
  for (Index first = rows_per_task; first < n; first += rows_per_task)
    for (Index j = 0; j < cols; ++j) parts[j] += parts[first / rows_per_task * cols + j];
  return parts;
}

}  // namespace filigree::detail
