// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Returns a distinct column for each row such that the sum of gains is maximal.
///
/// Rows are assigned one at a time. Each new row follows the shortest augmenting path to a free column, found by
/// Dijkstra's algorithm. Potentials keep the reduced costs nonnegative.
/// Shapes     gain: n x m with n <= m, all finite
/// Cost       O(n^2 m)
/// Reference  Jonker and Volgenant, Computing 38 (1987); Crouse, IEEE TAES 52 (2016), for n < m
template <class Matrix>
std::vector<Index> best_assignment(const Matrix& gain) {
  constexpr Index none = -1;
  const Index n = gain.rows(), m = gain.cols();
  const auto at = [](auto& list, Index i) -> auto& { return list[static_cast<std::size_t>(i)]; };
  const auto rows = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(m);
  std::vector<Index> column_of(rows, none), row_of(columns, none), before(columns);
  std::vector<double> row_potential(rows), column_potential(columns), distance(columns);
  std::vector<char> reached(columns);

  for (Index start = 0; start < n; ++start) {
    distance.assign(columns, std::numeric_limits<double>::infinity());
    reached.assign(columns, 0);
    double length = 0;  // of the path to `row`
    Index end = none;
    for (Index row = start; row != none; row = at(row_of, end)) {
      end = none;
      for (Index j = 0; j < m; ++j) {
        if (at(reached, j)) continue;
        const double d = length - gain(row, j) - at(row_potential, row) - at(column_potential, j);
        if (d < at(distance, j)) {
          at(distance, j) = d;
          at(before, j) = row;
        }
        if (end == none || at(distance, j) < at(distance, end)) end = j;
      }
      at(reached, end) = 1;
      length = at(distance, end);
    }
    at(row_potential, start) += length;
    for (Index j = 0; j < m; ++j)
      if (at(reached, j) && j != end) {
        at(row_potential, at(row_of, j)) += length - at(distance, j);
        at(column_potential, j) -= length - at(distance, j);
      }
    for (Index row = none; row != start;) {  // assigns the columns of the path to their new rows
      row = at(row_of, end) = at(before, end);
      std::swap(end, at(column_of, row));
    }
  }
  return column_of;
}

}  // namespace filigree::detail
