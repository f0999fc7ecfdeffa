// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// Samples as rows, in memory of a pass.
template <Real S>
using Rows = Eigen::Map<Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
template <Real S>
using ConstRows = Eigen::Map<const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// Sums over samples are computed in fixed chunks of rows that are added in ascending order. They therefore do not
// depend on the number of workers. The sums of the chunks are stored in a buffer of worker 0 that no task uses.

inline constexpr Index samples_per_task = 64;

/// Calls f(first, last) in parallel for chunks of n rows.
template <class F>
void for_each_rows(Index n, const Session& session, F&& f) {
  session.run(ceil_div(n, samples_per_task),
              [&](Index task, Index) { f(task * samples_per_task, (std::min)((task + 1) * samples_per_task, n)); });
}

/// Returns the sum of f(j) over j in [0, count). The numbers are added in eight chains, which run in parallel in the
/// processor: number j to chain j mod 8.
template <class F>
double sum_in_chains(Index count, F&& f) {
  double chains[8] = {};
  Index j = 0;
  for (; j + 8 <= count; j += 8)
    for (Index c = 0; c < 8; ++c) chains[c] += f(j + c);
  for (Index c = 0; j < count; ++j, ++c) chains[c] += f(j);
  return ((chains[0] + chains[1]) + (chains[2] + chains[3])) + ((chains[4] + chains[5]) + (chains[6] + chains[7]));
}

/// Returns the sum of f(i) over n rows.
template <class F>
double sum_over_rows(Index n, const Session& session, F&& f) {
  ScratchFrame frame(session.scratch(0));
  double* chunks = frame.take<double>(n / samples_per_task + 1);
  for_each_rows(n, session, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) sum += f(i);
    chunks[first / samples_per_task] = sum;
  });
  double sum = 0;
  for (Index first = 0; first < n; first += samples_per_task) sum += chunks[first / samples_per_task];
  return sum;
}

/// Returns the sums of f(x(i, j)) over the rows i of x, one for each column. They are valid until the next call.
template <Real S, class F>
double* sum_columns(const ConstRows<S>& x, const Session& session, F&& f) {
  const Index n = x.rows(), cols = x.cols();
  double* chunks = session.column_sums().get<double>((n / samples_per_task + 1) * cols);
  std::fill_n(chunks, cols, 0.0);
  for_each_rows(n, session, [&](Index first, Index last) {
    double* chunk = chunks + first / samples_per_task * cols;
    std::fill_n(chunk, cols, 0.0);
    for (Index i = first; i < last; ++i)
      for (Index j = 0; j < cols; ++j) chunk[j] += static_cast<double>(f(x(i, j)));
  });
  for (Index first = samples_per_task; first < n; first += samples_per_task)
    for (Index j = 0; j < cols; ++j) chunks[j] += chunks[first / samples_per_task * cols + j];
  return chunks;
}

}  // namespace filigree::detail
