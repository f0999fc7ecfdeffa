// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/core/sparse_indices.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern: the stored entries of a sparse matrix.
template <class Held>
struct Given {
  using Category = Pattern;
  using Sparse = std::remove_cvref_t<Held>;
  static constexpr bool by_row = bool(Sparse::IsRowMajor), ranges_are_exact = by_row;
  Held s;

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index row = grid.row(p), column = grid.column(j);
    const auto [begin, end] = inner(by_row ? row : column);
    const Index key = by_row ? column : row;  // may not fit into StorageIndex, so the comparison uses Index
    const auto* const at = std::lower_bound(begin, end, key, [](StorageIndex a, Index b) { return Index{a} < b; });
    return at != end && Index{*at} == key;
  }

  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if constexpr (by_row) {
      const Index end = (std::min)(p1, grid.query_at + grid.n);
      // For several rows, nearby entries are merged into one range, since a tile of 64 keys is computed as a whole.
      for (Index p = (std::max)(p0, grid.query_at); p < end; ++p) add_runs(p, p1 - p0 == 1 ? 1 : 64, grid, out);
    } else {
      out.add(grid.key_at, grid.key_end());
    }
  }

  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if constexpr (by_row) {
      if (p0 < grid.query_at || p1 > grid.query_at + grid.n) return;
      const Index mark = out.size();
      for (Index p = p0; p < p1; ++p) {
        const Index middle = out.size();
        add_runs(p, 1, grid, out);
        if (p > p0) out.intersect(mark, middle);
        if (out.size() == mark) return;
      }
    }
  }

  // The columns of the keys that query p keeps, ascending, for engines that need no ranges. They are scattered if most
  // are not next to the previous one.
  bool has_scattered_columns(Index p, const Grid& grid) const requires(by_row) {
    const auto [begin, end] = inner(grid.row(p));
    Index scattered = 0;
    for (const StorageIndex* at = begin; at != end; ++at) scattered += at == begin || at[0] - at[-1] != 1 ? 1 : 0;
    return 2 * scattered > end - begin;
  }
  Index column_count(Index p, const Grid& grid) const requires(by_row) {
    const auto [begin, end] = inner(grid.row(p));
    return end - begin;
  }
  void list_columns(Index p, const Grid& grid, kernel::Column* out) const requires(by_row) {
    const auto [begin, end] = inner(grid.row(p));
    for (const StorageIndex* at = begin; at != end; ++at) *out++ = static_cast<kernel::Column>(*at);
  }
  bool is_scattered(const Grid& grid) const requires(by_row) { return s.nonZeros() / 4 < grid.n * grid.m / 16; }
  void check(const Grid& grid) const {
    detail::require(s.rows() == grid.n && s.cols() == grid.m, "given(S): S is ", s.rows(), "x", s.cols(),
                    " and must have the shape of the scores, ", grid.n, "x", grid.m);
    check_indices();
  }
  void check_indices() const { detail::require_valid_indices(s, "given(S)", true); }

 private:
  using StorageIndex = typename Sparse::StorageIndex;

  /// Returns the inner indices of row (or column) `outer`.
  std::pair<const StorageIndex*, const StorageIndex*> inner(Index outer) const {
    const StorageIndex* const all = s.innerIndexPtr();
    const auto [begin, end] = detail::entries_of(s, outer);
    return {all + begin, all + end};
  }

  /// Adds the entries of row p. Entries at most `max_distance` columns apart are merged into one range.
  void add_runs(Index p, Index max_distance, const Grid& grid, Ranges& out) const {
    const auto [begin, end] = inner(grid.row(p));
    for (const StorageIndex* at = begin; at != end;) {
      const StorageIndex* last = at;
      while (last + 1 != end && static_cast<Index>(last[1]) - static_cast<Index>(last[0]) <= max_distance) ++last;
      out.add(grid.key_at + static_cast<Index>(*at), grid.key_at + static_cast<Index>(*last) + 1);
      at = last + 1;
    }
  }
};

/// Keeps the stored entries of a sparse matrix, including explicit zeros. The values are ignored.
///
/// Formula    S(i, c) is stored
/// Shapes     S: n x m, row i for query i and column c for key c, independent of their positions
/// Cost       O(entries) to plan a row-major S; a column-major S is searched for every pair
/// Aliasing   an lvalue is held by reference: its structure must not change
/// Throws     Error, now and at each evaluation, if the index arrays of S are invalid: descending outer pointers, or
///            inner indices that are out of bounds or do not ascend; at evaluation, if the shape of S is not n x m
template <detail::SparseExpression Sparse>
Given<StoredOperand<Sparse>> given(Sparse&& s) {
  Given<StoredOperand<Sparse>> result{.s = std::forward<Sparse>(s)};
  result.check_indices();
  return result;
}

}  // namespace filigree
