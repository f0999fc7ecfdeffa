// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "filigree/nn/activations.hpp"
#include "filigree/pipe/row_list.hpp"
#include "filigree/select/batch_top_k.hpp"
#include "filigree/select/rank.hpp"

namespace filigree::detail {

/// A number above which lie some more than `keep` of these, as a sample of them suggests; -infinity where there are too
/// few to tell.
template <Real S>
S guess_bound(const S* values, Index count, Index keep, std::vector<S>& memory) {
  constexpr Index samples = 16384;
  if (count < 4 * samples) return -std::numeric_limits<S>::infinity();
  const Index stride = count / samples | 1;  // odd, to meet all columns of a matrix
  memory.clear();
  for (Index e = 0; e < count; e += stride) memory.push_back(values[e]);
  const double expected = static_cast<double>(keep) / static_cast<double>(stride);
  const auto rank = static_cast<std::size_t>(expected + 4 * std::sqrt(expected) + 4);
  if (rank >= memory.size()) return -std::numeric_limits<S>::infinity();
  const auto bound = memory.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(memory.begin(), bound, memory.end(), ranks_above<S>);
  return *bound == *bound ? *bound : -std::numeric_limits<S>::infinity();
}

/// What a stage that looks at all rows at once keeps of a batch, in memory that lasts for the next one.
template <Real S>
class BatchChoice {
 public:
  /// row_of(i) is row i of what comes in, in memory that may be written.
  template <class T, class RowOf>
  const RowList<S>& choose(const T& stage, const Activations<S>& in, const Grid& grid, RowOf&& row_of) {
    constexpr S lowest = -std::numeric_limits<S>::infinity();
    S bound = lowest;
    Index wanted = 0;
    if constexpr (std::same_as<T, BatchTopK>)
      if (!in.has_lists()) {
        // What lies below some number that enough others exceed need not be listed.
        wanted = stage.kept(grid.n, grid.n * grid.m);
        bound = guess_bound(in.data, grid.n * grid.m, wanted, sample_);
      }
    collect(grid, row_of, bound);
    if (list_.count() < wanted && bound > lowest) collect(grid, row_of, lowest);
    stage.apply(list_);
    return list_;
  }

 private:
  template <class RowOf>
  void collect(const Grid& grid, RowOf&& row_of, S bound) {
    list_.clear(grid);
    for (Index i = 0; i < grid.n; ++i) {
      Row<S> row = row_of(i);
      if (bound > -std::numeric_limits<S>::infinity())
        row.count = kernel::kernels<S>().keep_above(row.values, row.columns, row.count, bound);
      list_.append(row);
    }
  }

  RowList<S> list_;
  std::vector<S> sample_;
};

}  // namespace filigree::detail
