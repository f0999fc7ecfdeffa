// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// What given(S) returns.
template <class Held>
struct Given {
  using Category = Pattern;
  using Sparse = std::remove_cvref_t<Held>;
  static constexpr bool by_row = bool(Sparse::IsRowMajor), covers_exactly = by_row;
  Held s;

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index row = grid.row(p), column = grid.column(j);
    const auto [begin, end] = inner(by_row ? row : column);
    return std::binary_search(begin, end, static_cast<StorageIndex>(by_row ? column : row));
  }

  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if constexpr (by_row) {
      const Index end = (std::min)(p1, grid.query_at + grid.n);
      // Entries of one row that share a tile are not worth a range each, unless the row is asked for alone.
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

  bool scatters(const Grid& grid) const requires(by_row) { return s.nonZeros() / 4 < grid.n * grid.m / 16; }
  void check(const Grid& grid) const {
    detail::require(s.rows() == grid.n && s.cols() == grid.m, "given(S): S is ", s.rows(), "x", s.cols(),
                    " and must have the shape of the scores, ", grid.n, "x", grid.m);
  }

  [[nodiscard]] bool ascends() const {
    for (Index o = 0; o < s.outerSize(); ++o) {
      const auto [begin, end] = inner(o);
      if (!std::is_sorted(begin, end)) return false;
    }
    return true;
  }

 private:
  using StorageIndex = typename Sparse::StorageIndex;

  /// The inner indices of row (or column) `outer`.
  std::pair<const StorageIndex*, const StorageIndex*> inner(Index outer) const {
    const StorageIndex* all = s.innerIndexPtr();
    if (s.outerIndexPtr() == nullptr) return {all, all + s.nonZeros()};  // a sparse vector
    const auto begin = static_cast<Index>(s.outerIndexPtr()[outer]);
    const auto end = s.isCompressed() ? static_cast<Index>(s.outerIndexPtr()[outer + 1])
                                      : begin + static_cast<Index>(s.innerNonZeroPtr()[outer]);
    return {all + begin, all + end};
  }

  /// Adds what row p stores, joined where it is less than `reach` + 1 columns from one entry to the next.
  void add_runs(Index p, Index reach, const Grid& grid, Ranges& out) const {
    const auto [begin, end] = inner(grid.row(p));
    for (const StorageIndex* at = begin; at != end;) {
      const StorageIndex* last = at;
      while (last + 1 != end && static_cast<Index>(last[1]) - static_cast<Index>(last[0]) <= reach) ++last;
      out.add(grid.key_at + static_cast<Index>(*at), grid.key_at + static_cast<Index>(*last) + 1);
      at = last + 1;
    }
  }
};

namespace detail {

template <class T>
concept SparseExpression = std::derived_from<std::remove_cvref_t<T>, Eigen::SparseMatrixBase<std::remove_cvref_t<T>>>;

template <class T>
struct HeldSparse {
  using type = typename std::remove_cvref_t<T>::PlainObject;
};
template <class T>
  requires std::derived_from<std::remove_cvref_t<T>, Eigen::SparseCompressedBase<std::remove_cvref_t<T>>>
struct HeldSparse<T> {
  using type = Operand<T>;
};

}  // namespace detail

/// Keeps the stored entries of a sparse matrix, explicit zeros included; their values do not matter.
///
/// Shapes     S: n x m, row i for query i and column c for key c, whatever their positions
/// Cost       a row-major S is planned in O(entries); a column-major one is searched for every pair
/// Aliasing   an lvalue is held by reference: its entries must stay where they are
/// Throws     Error if the inner indices of a row (or column) of S do not ascend; later, if S does not have the shape
/// of
///            the scores
template <detail::SparseExpression Sparse>
auto given(Sparse&& s) {
  using Held = typename detail::HeldSparse<Sparse>::type;
  Given<Held> result{.s = std::forward<Sparse>(s)};
  detail::require(result.ascends(),
                  "given(S): the inner indices of S must ascend in each row (or column); "
                  "transposing S twice sorts them");
  return result;
}

}  // namespace filigree
