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
  static bool are_short(Index m) { return m <= (std::min)(16 * kernel::kernels<S>().lanes, kernel::max_short_row); }

  /// Returns the distance between rows.
  [[nodiscard]] Index stride() const { return round_up(problem.grid.m, Index(kernel::kernels<S>().width)); }
  /// Takes memory for the scores.
  S* take(Index rows, ScratchFrame& frame) const { return frame.take<S>(tiles.round_up(rows) * stride()); }

  /// Computes the scores of a block. Absent scores are -inf, also those that pad a row up to a whole vector.
  void score(const typename Panels::Block& block, S* tile, WorkerScratch& scratch) const {
    const Index width = kernel::kernels<S>().width, step = stride();
    const Range dropped = problem.keys.dropped();
    if (Form<Stages>::streams_patterns || dropped.begin < dropped.end)
      std::fill_n(tile, block.rows * step, Panels::absent);
    tiles.for_each_panel(scratch, [&](Index panel) {
      const auto at = [&](Index r) { return tile + r * step + panel * width; };
      tiles.visit(
          panel, block, scratch, [&](Index r, Index n) { tiles.scores(panel, block, r, n, at(r), step, scratch); },
          [&](Index r, Index n) { tiles.masked_scores(panel, block, r, n, at(r), step, scratch); });
    });
  }
};

}  // namespace filigree::detail
