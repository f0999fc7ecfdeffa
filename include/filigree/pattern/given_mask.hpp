// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern: the true entries of a dense mask.
template <class Held>
struct GivenMask {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Held m;

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index row = grid.row(p), column = grid.column(j);
    return row >= 0 && row < m.rows() && column >= 0 && column < m.cols() && m.coeff(row, column);
  }

  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index end = (std::min)(p1, grid.query_at + grid.n);
    // For several rows, ranges with small gaps are merged, since a tile of 64 keys is computed as a whole.
    for (Index p = (std::max)(p0, grid.query_at); p < end; ++p) add_runs(p, p1 - p0 == 1 ? 0 : 63, grid, out);
  }

  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p0 < grid.query_at || p1 > grid.query_at + grid.n) return;
    const Index mark = out.size();
    for (Index p = p0; p < p1; ++p) {
      const Index middle = out.size();
      add_runs(p, 0, grid, out);
      if (p > p0) out.intersect(mark, middle);
      if (out.size() == mark) return;
    }
  }

  void check(const Grid& grid) const {
    detail::require(m.rows() == grid.n && m.cols() == grid.m, "given(M): M is ", m.rows(), "x", m.cols(),
                    " and must have the shape of the scores, ", grid.n, "x", grid.m);
  }

 private:
  /// Adds the true entries in the row of query p. Ranges with gaps of up to `gap` columns are merged.
  void add_runs(Index p, Index gap, const Grid& grid, Ranges& out) const {
    const Index row = grid.row(p), cols = m.cols();
    for (Index c = 0; c < cols;) {
      if (!m.coeff(row, c)) {
        ++c;
        continue;
      }
      Index end = c + 1;
      for (Index next = end; next < cols && next <= end + gap; ++next)
        if (m.coeff(row, next)) end = next + 1;
      out.add(grid.key_at + c, grid.key_at + end);
      c = end;
    }
  }
};

/// Keeps the true entries of a dense mask, for example given(M) or given(X.array() > 0).
///
/// Formula    M(i, c) is true
/// Shapes     M: n x m of bool, row i for query i and column c for key c, independent of their positions
/// Cost       each block of queries reads its rows once to plan, and again each pair of partial tiles
/// Aliasing   an lvalue is held by reference; an expression that is not stored in memory is evaluated here, once
/// Throws     Error at evaluation, if M does not have the shape of the scores
template <DenseExpression M>
GivenMask<StoredOperand<M>> given(M&& m) {
  static_assert(std::same_as<typename std::remove_cvref_t<M>::Scalar, bool>,
                "filigree: given(M): a dense mask must be of bool, such as (M.array() != 0)");
  return {.m = std::forward<M>(m)};
}

}  // namespace filigree
