// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/engine/tiles.hpp"
#include "filigree/pipe/sinks.hpp"
#include "filigree/weigh/softmax.hpp"

// The block engine: scores | patterns and maps | softmax, times V. The scores of a block of queries against a chunk of
// keys become weights and meet V before the next chunk. Neither scores nor weights outlive their chunk.

namespace filigree::detail {

/// Whether a pipeline on scores has the form of the engine.
template <class Stages>
inline constexpr bool is_block_form = false;
template <class... T>
  requires(sizeof...(T) > 0)
inline constexpr bool is_block_form<std::tuple<T...>> = [] {
  constexpr bool stream[] = {PatternStage<T> || MapStage<T>...};
  for (std::size_t i = 0; i + 1 < sizeof...(T); ++i)
    if (!stream[i]) return false;
  return std::is_same_v<std::tuple_element_t<sizeof...(T) - 1, std::tuple<T...>>, Softmax>;
}();

/// Its sink is one of products: it has the rows of V and takes outputs.
template <class Bound, class Stages>
class BlockEngine {
  using S = typename Bound::Scalar;
  static constexpr std::size_t before = std::tuple_size_v<Stages> - 1;
  static constexpr S none = -std::numeric_limits<S>::infinity();

 public:
  static constexpr bool fused = true;

  /// `count` rows will be asked for in all.
  BlockEngine(const Bound& source, const Stages& stages, const Session& session, Index count)
      : BlockEngine(source, stages, session.concurrency() > 1 ? (count - 1) / (4 * session.concurrency()) + 1 : count) {
  }
  /// `fair` rows are one worker's share.
  BlockEngine(const Bound& source, const Stages& stages, Index fair)
      : source_(source), stages_(stages), tiles_(source, stages), kernels_(kernel::kernels<S>()) {
    const Index cached = 24 * 1024 / (static_cast<Index>(sizeof(S)) * std::max<Index>(source.d(), 1));
    height_ = (std::min)(tiles_.round_up(std::clamp<Index>(cached, 4 * kernels_.height, 96)),
                         tiles_.round_up(std::max<Index>(fair, 1)));
  }

  [[nodiscard]] Index height() const { return height_; }

  /// Takes the memory that a block will need.
  void reserve(WorkerScratch& scratch) const {
    tiles_.reserve(height_, scratch);
    scratch.tile.get<S>(height_ * stride);
    scratch.segments.reserve(32);
  }

  template <class Sink>
  void run(Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    finish(first, last - first, partial(first, last - first, sink.values(), scratch), sink);
  }

  /// Sums of the rows [first, first + rows), not yet divided.
  kernel::Sums<S> partial(Index first, Index rows, const ValueRows<S>& v, WorkerScratch& scratch) const {
    const kernel::Sums<S> sums = attend<false>(first, rows, v, scratch);
    // A row of V that is not finite reaches rows that must not see it, as 0 times what it holds.
    return kernels_.all_finite(sums.out, v.padded, rows, v.padded) ? sums : attend<true>(first, rows, v, scratch);
  }

  /// Divides the sums of the rows and hands them on.
  template <class Sink>
  void finish(Index first, Index rows, const kernel::Sums<S>& sums, Sink&& sink) const {
    const S sink_score = static_cast<S>(std::get<before>(stages_).sink);
    for (Index r = 0; r < rows; ++r) {
      const kernel::Sums<S> row = sums.from(r, kernels_.lanes);
      const kernel::SoftmaxSums<S> total = kernels_.finish_row(row, sink.values().padded, sink_score);
      sink.take(first + r, row.out, total);
    }
  }

 private:
  /// A row's sums run over chunks of columns that do not depend on what is computed beside it, and chunks are merged in
  /// ascending order, so that they can be computed apart.
  static constexpr Index chunk = 512;
  static constexpr Index stride = chunk + 16;  // rows of scores that begin in different sets of the cache

  using Panels = Tiles<Bound, Stages, before>;
  using Block = typename Panels::Block;

  template <bool careful>
  kernel::Sums<S> attend(Index first, Index rows, const ValueRows<S>& v, WorkerScratch& scratch) const {
    const Index padded = tiles_.round_up(rows), per_chunk = chunk / kernels_.width;
    const Block block = tiles_.begin(first, rows, scratch);
    S* scores = scratch.tile.get<S>(padded * stride);
    const kernel::Sums<S> whole = sums(padded + kernels_.height, v.padded, scratch);
    const kernel::Sums<S> part = whole.from(padded, kernels_.lanes);
    bool any = false;
    const auto finish = [&](Index number) {
      for (Index r = 0; r < rows; r += kernels_.height) {
        const Index n = std::min<Index>(kernels_.height, rows - r);
        const kernel::Sums<S> to = whole.from(r, kernels_.lanes);
        const bool met = absorb<careful>(number * chunk, block, r, scores + r * stride, v, any ? part : to, scratch);
        if (met && any) kernels_.merge_sums(to, part, n, v.padded);
        if (!met && !any) clear(to, n, v.padded);
      }
      any = true;
    };

    Index current = -1;
    tiles_.for_each_panel(scratch, [&](Index panel) {
      const Index number = panel / per_chunk;
      if (current != number && current >= 0) finish(current);
      current = number;
      score(panel, block, scores + (panel % per_chunk) * kernels_.width, scratch);
    });
    if (current >= 0)
      finish(current);
    else
      clear(whole, rows, v.padded);
    return whole;
  }

  kernel::Sums<S> sums(Index rows, Index dv, WorkerScratch& scratch) const {
    return {.out = scratch.out.get<S>(rows * dv),
            .stride = dv,
            .maximum = scratch.bounds.get<S>(rows),
            .sum = scratch.values.get<S>(rows * kernels_.lanes)};
  }

  void clear(const kernel::Sums<S>& sums, Index rows, Index dv) const {
    std::fill_n(sums.out, rows * dv, S(0));
    std::fill_n(sums.maximum, rows, none);
    std::fill_n(sums.sum, rows * kernels_.lanes, S(0));
  }

  /// The scores of a panel, of the groups that see some of it.
  void score(Index panel, const Block& block, S* to, WorkerScratch& scratch) const {
    const S* keys = source_.panel(panel, scratch);
    const auto queries = [&](Index r) { return block.queries + r * source_.d(); };
    tiles_.visit(
        panel, block, scratch,
        [&](Index r, Index n) {
          kernels_.score_panel(queries(r), tiles_.round_up(n) / kernels_.height, keys, source_.d(), source_.scale(),
                               to + r * stride, stride);
        },
        [&](Index r, Index) {
          const Range part = tiles_.seen(panel, r, scratch);
          kernels_.score_part(queries(r), keys, source_.d(), source_.scale(), to + r * stride, stride, part.begin,
                              part.end);
        });
  }

  /// What the chunk from column c0 on gives to the group of row r; false if the group sees nothing of it.
  template <bool careful>
  bool absorb(Index c0, const Block& block, Index r, S* scores, const ValueRows<S>& v, const kernel::Sums<S>& to,
              WorkerScratch& scratch) const {
    const Index lanes = kernels_.lanes, n = std::min<Index>(kernels_.height, block.rows - r);
    const Index c1 = (std::min)(c0 + chunk, source_.grid().m);
    const auto down = [&](Index c) { return c / lanes * lanes; };
    const auto up = [&](Index c) { return (c + lanes - 1) / lanes * lanes; };
    auto& segments = scratch.segments;
    segments.clear();
    if (c1 == up(c1) && tiles_.sees_all(c0, c1, scratch)) {
      segments.push_back({0, c1 - c0});
      tiles_.map(scores, stride, block, r, n, c0, c1);
    } else {
      tiles_.plan_groups(block, scratch);
      for (const Piece& piece : meeting(tiles_.group(r, scratch), c0, c1)) {
        const Index begin = (std::max)(piece.begin, c0) - c0, end = (std::min)(piece.end, c1) - c0;
        if (segments.empty() || up(segments.back().end) <= down(begin))
          segments.push_back({begin, end});
        else
          segments.back().end = end;
      }
      if (segments.empty()) return false;
      for (const kernel::Segment& s : segments)
        tiles_.mask(scores + down(s.begin), stride, block, r, n, c0 + down(s.begin), c0 + up(s.end), scratch);
    }
    (careful ? kernels_.attend_careful : kernels_.attend_chunk)(
        scores, stride, segments.data(), static_cast<Index>(segments.size()),
        v.padded > 0 ? v.data + c0 * v.stride : v.data, v.stride, v.padded, n, to);
    return true;
  }

  const Bound& source_;
  const Stages& stages_;
  Panels tiles_;
  const kernel::Kernels<S>& kernels_;
  Index height_;
};

}  // namespace filigree::detail
