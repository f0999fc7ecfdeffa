// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "filigree/core/buffer.hpp"
#include "filigree/core/integers.hpp"
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

/// The scores of queries against blocks of keys, as a source of a pipeline. Block c is at position key_at + c.
template <class Source, class Scorer>
class BlockScores {
 public:
  using Scalar = typename Source::Scalar;

  BlockScores(const Source& source, Index b, const Session& session)
      : source_(source), d_(Scorer::features(source.d())), width_(kernel::kernels<Scalar>().width) {
    const Grid& keys = source.grid();
    grid_ = keys;
    grid_.key_at = floor_div(keys.key_at, b);
    grid_.m = keys.m > 0 ? floor_div(keys.key_end() - 1, b) - grid_.key_at + 1 : 0;
    const Index panels = ceil_div(grid_.m, width_);
    panels_ = memory_.get<Scalar>(panels * width_ * d_);
    std::fill_n(panels_, panels * width_ * d_, Scalar(0));
    session.run(grid_.m, [&](Index c, Index worker) {
      const Index begin = (std::max)((grid_.key_at + c) * b, keys.key_at);
      const Index count = (std::min)((grid_.key_at + c + 1) * b, keys.key_end()) - begin, d = source.d();
      Scalar* rows = session.scratch(worker).tile.get<Scalar>(count * d + d_);
      for (Index j = 0; j < count; ++j) source.copy_key(keys.column(begin) + j, rows + j * d);
      Scalar* pooled = rows + count * d;
      Scorer::pool(rows, count, d, pooled);
      for (Index f = 0; f < d_; ++f) panels_[(c / width_ * d_ + f) * width_ + c % width_] = pooled[f];
    });
  }
  BlockScores(const BlockScores&) = delete;
  BlockScores& operator=(const BlockScores&) = delete;

  [[nodiscard]] const Grid& grid() const { return grid_; }
  [[nodiscard]] const Scalar* panel(Index p, WorkerScratch&) const { return panels_ + p * width_ * d_; }
  void reserve(WorkerScratch&) const {}
  [[nodiscard]] Scalar scale() const { return Scalar(1); }
  [[nodiscard]] Index d() const { return d_; }
  void pack_queries(Index first, Index count, Scalar* out) const {
    const Index height = kernel::kernels<Scalar>().height, d = source_.d();
    std::vector<Scalar> buffer(static_cast<std::size_t>(d + d_));
    Scalar *query = buffer.data(), *transformed = query + d;
    for (Index g = 0; g < count; g += height, out += d_ * height)
      for (Index r = 0; r < height; ++r) {
        if (g + r < count) {
          source_.copy_query(first + g + r, query);
          Scorer::transform_query(query, d, transformed);
        }
        for (Index f = 0; f < d_; ++f) out[f * height + r] = g + r < count ? transformed[f] : Scalar(0);
      }
  }

 private:
  const Source& source_;
  Index d_, width_;
  Grid grid_;
  Buffer memory_;
  Scalar* panels_;  // [panels][d][width]
};

}  // namespace detail
}  // namespace filigree
