// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/keys.hpp"
#include "filigree/run/workspace.hpp"

// Scores of blocks of keys. A scorer pools the keys of each block into one vector and transforms each query. The score
// is the dot product of the two, so the selection engine can select blocks in the same way as keys.

namespace filigree {

/// A block scorer: the score is <q, mean of the keys of the block>. The mean is accumulated in double.
///
/// Reference  Lu et al., arXiv:2502.13189 (MoBA), equation 6
struct MeanPool {
  // Returns the size of a pooled vector, for keys with d features.
  static Index features(Index d) { return d; }

  /// Pools the keys of a block. keys: [count][d], to: [features(d)]
  template <Real S>
  static void pool(const S* keys, Index count, Index d, S* to) {
    for (Index f = 0; f < d; ++f) {
      double sum = 0;
      for (Index j = 0; j < count; ++j) sum += static_cast<double>(keys[j * d + f]);
      to[f] = static_cast<S>(sum / static_cast<double>(count));
    }
  }
  /// Transforms a query. query: [d], to: [features(d)]
  template <Real S>
  static void transform_query(const S* query, Index d, S* to) {
    std::copy_n(query, d, to);
  }
};
/// Scores a block by the mean of its keys: block_top_k(b, k, mean_pool()). This is the default.
inline MeanPool mean_pool() { return {}; }

/// A block scorer: the score is the sum over features of max(q min, q max), where min and max are over the keys of the
/// block. It is an upper bound of the scores of these keys. The features with q > 0 are added first. A block with a
/// non-finite key ranks first.
///
/// Reference  Tang et al., arXiv:2406.10774 (Quest), section 3.3
struct MinMaxBound {
  static Index features(Index d) { return 2 * d; }

  template <Real S>
  static void pool(const S* keys, Index count, Index d, S* to) {
    for (Index f = 0; f < d; ++f) {
      S min = std::numeric_limits<S>::infinity(), max = -min;
      bool finite = true;
      for (Index j = 0; j < count; ++j) {
        const S x = keys[j * d + f];
        finite = finite && std::abs(x) <= (std::numeric_limits<S>::max)();
        min = (std::min)(min, x);
        max = (std::max)(max, x);
      }
      to[f] = finite ? max : std::numeric_limits<S>::quiet_NaN();
      to[d + f] = finite ? min : std::numeric_limits<S>::quiet_NaN();
    }
  }
  template <Real S>
  static void transform_query(const S* query, Index d, S* to) {
    for (Index f = 0; f < d; ++f) {
      const S q = query[f];
      to[f] = q < S(0) ? S(0) : q;  // NaN is copied to both
      to[d + f] = q > S(0) ? S(0) : q;
    }
  }
};
/// Scores a block by an upper bound of the scores of its keys: block_top_k(b, k, min_max_bound()).
inline MinMaxBound min_max_bound() { return {}; }

namespace detail {

/// Returns the shape of the scores of queries against blocks of b keys. Block c is at position key_at + c.
inline Grid block_grid(const Grid& keys, Index b) {
  Grid grid = keys;
  grid.key_at = floor_div(keys.key_at, b);
  grid.m = keys.m > 0 ? floor_div(keys.key_end() - 1, b) - grid.key_at + 1 : 0;
  return grid;
}

/// Pools each block of b keys into one key, and packs these in `memory`.
template <class Scorer, class P>
PanelKeys<typename P::Scalar> pool_keys(const P& problem, Index b, Buffer& memory, const Session& session) {
  using S = typename P::Scalar;
  const Grid &keys = problem.grid, blocks = block_grid(keys, b);
  const Index d = problem.d(), features = Scorer::features(d), width = kernel::kernels<S>().width;
  const Index size = PackedPanels<S>::size(blocks.m, features);
  S* panels = memory.get<S>(size);
  std::fill_n(panels, size, S(0));
  const Range dropped = problem.keys.dropped();
  session.run(blocks.m, [&](Index c, Index worker) {
    const Index begin = (std::max)((blocks.key_at + c) * b, keys.key_at) - keys.key_at;
    const Index end = (std::min)((blocks.key_at + c + 1) * b, keys.key_end()) - keys.key_at;
    ScratchFrame frame(session.scratch(worker));
    S* rows = frame.take<S>((end - begin) * d);
    S* pooled = frame.take<S>(features);
    Index count = 0;
    for (Index j = begin; j < end; ++j)
      if (j < dropped.begin || j >= dropped.end) problem.keys.copy(j, rows + count++ * d);
    if (count == 0) return;
    Scorer::pool(rows, count, d, pooled);
    for (Index f = 0; f < features; ++f) panels[(c / width * features + f) * width + c % width] = pooled[f];
  });
  // A block is dropped if all of its keys are.
  Range dropped_blocks{};
  if (dropped.begin < dropped.end) {
    const Index first = floor_div(keys.key_at + dropped.begin + b - 1, b) - blocks.key_at;
    const Index last = dropped.end == keys.m ? blocks.m : floor_div(keys.key_at + dropped.end, b) - blocks.key_at;
    dropped_blocks = {dropped.begin == 0 ? 0 : first, last};
    if (dropped_blocks.begin >= dropped_blocks.end) dropped_blocks = {};
  }
  return {{panels, blocks.m, features, width, {}, dropped_blocks}};
}

}  // namespace detail
}  // namespace filigree
