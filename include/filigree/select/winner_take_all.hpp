// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/dense_matrix.hpp"
#include "filigree/stage/dense_row.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

namespace detail {

/// Selector that keeps the entries above the bound of their column. Of those that are equal to it, it keeps the ones in
/// rows up to `last`.
template <Real S>
struct ColumnBounds {
  using Category = Selector;
  const S* bounds = nullptr;     // [m]; null if all entries are kept
  const Column* last = nullptr;  // [m]

  void apply(Row<S>& row) const {
    if (bounds == nullptr) return;
    row.filter([&](Index e) {
      const Column c = row.columns[e];
      const S x = row.values[e], bound = bounds[c];
      return ranks_above(x, bound) || (!ranks_above(bound, x) && row.index <= last[c]);
    });
  }
  void apply_dense(DenseRow<S>& row) const {
    if (bounds != nullptr)
      kernel::kernels<S>().keep_from_bounds(row.values, row.size(), bounds, last, static_cast<Column>(row.index));
  }
};

}  // namespace detail

/// Matrix stage that keeps the largest values of each column.
struct WinnerTakeAll {
  using Category = MatrixStage;
  static constexpr bool passes_gradient = true;
  double fraction;

  void check(const Grid& grid) const {
    constexpr Index most = (std::numeric_limits<Column>::max)();
    detail::require(grid.n <= most, "winner_take_all(fraction): a column must have at most ", most, " rows, got ",
                    grid.n);
  }

  template <Real S>
  [[nodiscard]] detail::ColumnBounds<S> bind(const DenseMatrix<S>& X, const detail::Session& session) const {
    const Index n = X.grid.n, m = X.grid.m;
    const auto winners = (std::max)(Index{1}, static_cast<Index>(std::floor(fraction * static_cast<double>(n))));
    if (winners >= n) return {};
    S* const bounds = X.memory.template take<S>(m + DenseRow<S>::padding);
    Column* const last = X.memory.template take<Column>(m + DenseRow<S>::padding);
    const auto& kernels = kernel::kernels<S>();
    constexpr Index width = kernel::strip<S>;
    using Bits = kernel::BitsOf<S>;
    for (Index worker = 0; worker < session.concurrency(); ++worker) {  // any worker may run a task
      detail::ScratchFrame frame(session.scratch(worker));
      (void)frame.take<Bits>(detail::size_product(n, width));
    }
    session.run(detail::ceil_div(m, width), [&](Index task, Index worker) {
      detail::ScratchFrame frame(session.scratch(worker));
      Bits* const memory = frame.take<Bits>(n * width);
      const Index first = task * width;
      kernels.bound_columns(X.data + first, X.stride, n, (std::min)(width, m - first), winners, memory, bounds + first,
                            last + first);
    });
    return {.bounds = bounds, .last = last};
  }
};

/// Keeps the largest values of each column over a batch of N rows.
///
/// Formula    max(1, ⌊fraction · N⌋) of each column
/// Cost       O(entries) per step of a search, of which there are as many as a bound has bits; in general about 15
/// Edge case  ties go to the lowest row; NaN ranks highest; N counts all rows, including those without an entry
/// Throws     Error unless 0 < fraction <= 1; Error when applied to 2^31 or more rows
/// Reference  Makhzani and Frey, arXiv:1409.2752, section 2.1 (lifetime sparsity)
inline WinnerTakeAll winner_take_all(double fraction) {
  detail::require(fraction > 0 && fraction <= 1,
                  "winner_take_all(fraction): fraction must be above 0 and at most 1, got ", fraction);
  return {.fraction = fraction};
}

}  // namespace filigree
