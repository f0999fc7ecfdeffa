// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <type_traits>

#include "filigree/core/buffer.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/dropped_weights.hpp"
#include "filigree/engine/row_ranges.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/engine/values.hpp"

namespace filigree::detail {

/// Softmax times V of a block of queries, one register group of queries after another. Each group is scored against
/// exactly the vectors of keys that it attends to, from any panels, so the tiles have the size of a window or of the
/// blocks of a pattern. This is faster than panel after panel if a group attends to few of the block's keys. The
/// numbers are the same.
template <class P, class Stages>
class GroupPass {
  using S = typename P::Scalar;
  using Tiles = ScoreTiles<P, Stages>;
  using Block = typename Tiles::Block;

 public:
  GroupPass(const P& problem, const Stages& stages, const Tiles& tiles, const DroppedWeights<P, Stages>& drops)
      : problem_(problem), stages_(stages), tiles_(tiles), drops_(drops), kernels_(kernel::kernels<S>()) {}

  /// Returns true if this pass is faster for a planned block, and possible: all panels of the block are in memory at
  /// the same time.
  [[nodiscard]] bool pays_off(const Block& block, const CachedValues<S>& v, const WorkerScratch& scratch) const {
    if constexpr (!Form<Stages>::streams_patterns) {
      return false;
    } else {
      const KeySpans& spans = scratch.block_spans;
      const Index size = spans.size();
      if (problem_.d() == 0 || size == 0 || (size == 1 && spans[0].all)) return false;
      const Index keys = tiles_.keys(scratch), width = kernels_.width;
      const Index panels = (spans[size - 1].end - 1) / width - spans[0].begin / width + 1;
      const Index in_memory = (std::min)(problem_.keys.cached_panels(), v.slots > 0 ? v.slots : panels);
      if (panels > in_memory || block.rows <= kernels_.height) return false;
      if (scratch.same_keys) return size > 1 && keys <= 1024;
      // Of a larger window, all queries attend to most panels, which then stay in the first-level cache.
      return RowRanges<Stages>::possible && keys == spans[size - 1].end - spans[0].begin && keys <= max_window_keys;
    }
  }

  /// Computes the states of a block. `part` has room for the state of one group, `scores` for the tile of one group.
  template <bool nonfinite>
  void attend(const Block& block, const CachedValues<S>& v, const SoftmaxState<S>& whole, const SoftmaxState<S>& part,
              S* scores, WorkerScratch& scratch) const {
    const Index width = kernels_.width;
    tiles_.for_each_panel(scratch, [&](Index panel) {
      v.fetch(panel, width, problem_.grid.m, scratch);
      (void)problem_.keys.panel(panel, scratch);
    });
    scratch.prefetcher.pace(ceil_div(block.rows, Index(kernels_.height)));
    for (Index r = 0; r < block.rows; r += kernels_.height) {
      scratch.prefetcher.issue();
      attend_group<nonfinite>(block, r, std::min<Index>(kernels_.height, block.rows - r), v, whole.from(r), part,
                              scores, scratch);
    }
  }

 private:
  static constexpr Index chunk = SoftmaxChunk::keys, stride = SoftmaxChunk::stride;
  static constexpr Index max_window_keys = 192;
  static constexpr Index max_vectors = chunk / 2;  // of two numbers in a chunk

  /// The keys of one group.
  struct Group {
    Index r, n;
    bool has_ranges;  // each row attends to the range of keys in `ranges`
    RowRanges<Stages> ranges;
  };

  template <bool nonfinite>
  void attend_group(const Block& block, Index r, Index n, const CachedValues<S>& v, const SoftmaxState<S>& whole,
                    const SoftmaxState<S>& part, S* scores, WorkerScratch& scratch) const {
    Group group{.r = r, .n = n, .has_ranges = false, .ranges = {}};
    bool any = false;
    const auto attend_span = [&](const KeySpan* span, const KeySpan* end) {
      for (Index begin = 0; span != end;) {
        begin = (std::max)(begin, span->begin);
        const Index c0 = begin / chunk * chunk, c1 = (std::min)(c0 + chunk, problem_.grid.m);
        span = collect_segments(span, end, c0, c1, scratch);
        begin = c1;
        attend_chunk<nonfinite>(block, group, c0, v, any ? part : whole, scores, scratch);
        if (any) whole.merge(part, n);
        any = true;
      }
    };
    if constexpr (RowRanges<Stages>::possible)
      if (const Range dropped = problem_.keys.dropped(); dropped.begin == dropped.end)
        group.has_ranges = group.ranges.compute(stages_, block.first + r, n, problem_.grid, scratch.coverage.maybe);
    if (group.has_ranges) {
      prefetch_values(group.ranges.hull.end, v);
      const KeySpan hull{group.ranges.hull.begin, group.ranges.hull.end, false};
      if (hull.begin < hull.end) attend_span(&hull, &hull + 1);
    } else {
      tiles_.plan_groups(block, scratch);
      const KeySpans& spans = tiles_.group(r, scratch);
      attend_span(spans.begin(), spans.end());
    }
    if (!any) whole.clear(n);
  }

  /// Prefetches the rows of V that the next groups read first.
  void prefetch_values(Index end, const CachedValues<S>& v) const {
    if (v.slots > 0 || v.stored) return;
    constexpr auto line = static_cast<Index>(Buffer::alignment / sizeof(S));
    const Index first = end + 2 * kernels_.height, last = (std::min)(first + kernels_.height, problem_.grid.m);
    for (Index j = first; j < last; ++j)
      for (Index f = 0; f < v.padded; f += line) __builtin_prefetch(v.data + v.gap.place(j) * v.stride + f);
  }

  /// Collects the parts of spans in the columns [c0, c1) as segments relative to c0. Spans in the same vector become
  /// one segment. Returns the first span with columns from c1 on.
  const KeySpan* collect_segments(const KeySpan* span, const KeySpan* end, Index c0, Index c1,
                                  WorkerScratch& scratch) const {
    auto& segments = scratch.segments;
    segments.clear();
    for (; span != end && span->begin < c1; ++span) {
      const Index first = (std::max)(span->begin, c0) - c0, last = (std::min)(span->end, c1) - c0;
      if (segments.empty() || round_up(segments.back().end, Index(kernels_.lanes)) <= round_down(first))
        segments.push_back({first, last});
      else
        segments.back().end = last;
      if (span->end > c1) break;
    }
    return span;
  }

  template <bool nonfinite>
  void attend_chunk(const Block& block, const Group& group, Index c0, const CachedValues<S>& v,
                    const SoftmaxState<S>& to, S* scores, WorkerScratch& scratch) const {
    const auto& segments = scratch.segments;
    const Index lanes = kernels_.lanes, per_panel = kernels_.width / lanes;
    const S* keys[max_vectors];
    Column at[max_vectors];
    Index count = 0;
    for (const kernel::Segment& s : segments)
      for (Index c = round_down(s.begin); c < s.end; c += lanes) {
        const Index vector = (c0 + c) / lanes;
        keys[count] = problem_.keys.panel(vector / per_panel, scratch) + vector % per_panel * lanes;
        at[count++] = static_cast<Column>(c);
      }
    kernels_.score_listed(block.queries + group.r * problem_.d(), keys, at, count, problem_.d(), problem_.scale, scores,
                          stride);
    for (const kernel::Segment& s : segments) {
      const Index first = round_down(s.begin), last = round_up(s.end, lanes);
      if (group.has_ranges)
        keep_ranges(group, c0, first, last, scores);
      else
        tiles_.mask(scores + first, stride, block, group.r, group.n, c0 + first, c0 + last, scratch);
    }
    typename DroppedWeights<P, Stages>::Rows random;
    v.template attend<nonfinite>(c0 / kernels_.width, kernels_.width, scores, stride, segments, group.n,
                                 drops_.of(block.first + group.r, group.n, c0, random), to, scratch);
  }

  /// Masks the columns [first, last) of the chunk at c0.
  void keep_ranges(const Group& group, Index c0, Index first, Index last, S* scores) const {
    Column begin[RowRanges<Stages>::max_rows], end[RowRanges<Stages>::max_rows];
    for (Index r = 0; r < group.n; ++r) {
      begin[r] = group.ranges.begin[r] - static_cast<Column>(c0);
      end[r] = group.ranges.end[r] - static_cast<Column>(c0);
    }
    kernels_.keep_columns(scores, stride, group.n, first, last, begin, end);
  }

  [[nodiscard]] Index round_down(Index c) const { return c / kernels_.lanes * kernels_.lanes; }

  const P& problem_;
  const Stages& stages_;
  const Tiles& tiles_;
  const DroppedWeights<P, Stages>& drops_;
  const kernel::Kernels<S>& kernels_;
};

}  // namespace filigree::detail
