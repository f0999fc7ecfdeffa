// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "filigree/nn/activations.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/row_list.hpp"

namespace filigree::detail {

/// Estimates a bound that slightly more than `keep` of the values exceed, from a sample of the values. Returns
/// -infinity for few values.
template <Real S>
S estimate_bound(const S* values, Index count, Index keep, std::vector<S>& sample) {
  constexpr Index samples = 16384;
  if (count < 4 * samples) return -std::numeric_limits<S>::infinity();
  const Index stride = count / samples | 1;  // odd, so that the sample covers all columns of a matrix
  sample.clear();
  for (Index e = 0; e < count; e += stride) sample.push_back(values[e]);
  const double expected = static_cast<double>(keep) / static_cast<double>(stride);
  const auto rank = static_cast<std::size_t>(expected + 4 * std::sqrt(expected) + 4);
  if (rank >= sample.size()) return -std::numeric_limits<S>::infinity();
  const auto bound = sample.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(sample.begin(), bound, sample.end(), ranks_above<S>);
  return *bound == *bound ? *bound : -std::numeric_limits<S>::infinity();
}

/// The entries of a batch that a whole-matrix stage keeps, such as batch_top_k. The memory is reused for the next
/// batch.
template <Real S>
class BatchChoice {
 public:
  /// Returns the entries that the stage keeps. row_of(i) returns row i of the input, in memory that may be overwritten.
  template <class T, class RowOf>
  const RowList<S>& choose(const T& stage, const Activations<S>& in, const Grid& grid, RowOf&& row_of) {
    constexpr S lowest = -std::numeric_limits<S>::infinity();
    S bound = lowest;
    Index keep = 0;
    if constexpr (requires { requires T::keeps_largest; })
      if (!in.has_lists()) {
        // Entries below a bound that enough others exceed need not be listed.
        keep = stage.kept(grid.n, grid.n * grid.m);
        bound = estimate_bound(in.data, grid.n * grid.m, keep, sample_);
      }
    collect(grid, row_of, bound);
    if (list_.count() < keep && bound > lowest) collect(grid, row_of, lowest);
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
