// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/core/scratch.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/score_tiles.hpp"

namespace filigree::detail {

/// The scores of a block of queries against all keys, if these are few: rows in memory, after patterns and maps.
template <class P, class Stages>
struct ShortRows {
  using Panels = ScoreTiles<P, Stages>;
  using S = typename P::Scalar;
  const P& problem;
  const Panels& tiles;

  /// True if rows are so short that their scores stay in the L1 cache.
  static bool are_short(Index m) { return m <= (std::min)(16 * kernel::kernels<S>().lanes, 256); }

  /// Returns the distance between rows.
  [[nodiscard]] Index stride() const { return round_up(problem.grid.m, Index(kernel::kernels<S>().width)); }
  /// Takes memory for the scores.
  S* take(Index rows, ScratchFrame& frame) const { return frame.take<S>(tiles.round_up(rows) * stride()); }

  /// Computes the scores of a block. Absent scores are -inf, also those that pad a row up to a whole vector.
  void score(const typename Panels::Block& block, S* tile, WorkerScratch& scratch) const {
    const auto& kernels = kernel::kernels<S>();
    const Index width = kernels.width, m = problem.grid.m, d = problem.d(), step = stride();
    if constexpr (Form<Stages>::streams_patterns) std::fill_n(tile, block.rows * step, Panels::absent);
    tiles.for_each_panel(scratch, [&](Index panel) {
      const S* keys = problem.keys.panel(panel, scratch);
      const Index c0 = panel * width, c1 = (std::min)(c0 + width, m);
      const auto score_columns = [&](Index r, Index begin, Index end) {
        kernels.score_columns(block.queries + r * d, keys, d, problem.scale, tile + r * step + c0, step, begin, end);
      };
      tiles.visit(
          panel, block, scratch,
          [&](Index r, Index n) {
            if (c1 == c0 + width)
              kernels.score_panel(block.queries + r * d, tiles.round_up(n) / kernels.height, keys, d, problem.scale,
                                  tile + r * step + c0, step);
            else
              for (Index g = r; g < r + n; g += kernels.height) score_columns(g, 0, c1 - c0);
            tiles.map(tile + r * step + c0, step, block, r, n, c0, c1);
            for (Index i = r; i < r + n; ++i)
              std::fill(tile + i * step + c1, tile + i * step + round_up(c1, Index(kernels.lanes)), Panels::absent);
          },
          [&](Index r, Index n) {
            const Range columns = tiles.visible_columns(panel, r, scratch);
            score_columns(r, columns.begin, columns.end);
            tiles.mask(tile + r * step + c0, step, block, r, n, c0, c0 + width, scratch);
          });
    });
  }
};

}  // namespace filigree::detail
