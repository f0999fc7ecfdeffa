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

// The block engine: scores | patterns and maps | softmax, times V. A tile of scores becomes weights and meets V before
// the next one is computed. Neither scores nor weights outlive their tile.

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
      : source_(source), stages_(stages), tiles_(source, stages), kernels_(kernel::kernels<S>()) {
    const Index cached = 24 * 1024 / (static_cast<Index>(sizeof(S)) * std::max<Index>(source.d(), 1));
    const Index tasks = session.concurrency() > 1 ? 4 * session.concurrency() : 1;
    height_ = (std::min)(tiles_.round_up(std::clamp<Index>(cached, 4 * kernels_.height, 96)),
                         tiles_.round_up(std::max<Index>((count + tasks - 1) / tasks, 1)));
  }

  [[nodiscard]] Index height() const { return height_; }

  /// Takes the memory that a block will need.
  void reserve(WorkerScratch& scratch) const { tiles_.reserve(height_, scratch); }

  template <class Sink>
  void run(Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    const Index rows = last - first, padded = tiles_.round_up(rows), dv = sink.values().padded;
    const S* queries = tiles_.begin(first, last, scratch);
    const kernel::Sums<S> whole = sums(2 * padded, dv, scratch), part = whole.from(padded, kernels_.lanes);
    clear(whole, padded, dv);
    clear(part, padded, dv);

    // A row's sums run over chunks of columns that do not depend on what is computed beside it, so that chunks could
    // be computed apart.
    Index chunk = 0;
    tiles_.for_each_panel(scratch, [&](Index panel) {
      if (panel / panels_per_chunk != chunk) {
        chunk = panel / panels_per_chunk;
        kernels_.merge_sums(whole, part, rows, dv);
        clear(part, padded, dv);
      }
      absorb(panel, first, rows, queries, sink.values(), part, scratch);
    });
    kernels_.merge_sums(whole, part, rows, dv);

    const S sink_score = static_cast<S>(std::get<before>(stages_).sink);
    for (Index r = 0; r < rows; ++r) {
      const kernel::Sums<S> row = whole.from(r, kernels_.lanes);
      const kernel::SoftmaxSums<S> total = kernels_.finish_row(row, dv, sink_score);
      sink.take(first + r, row.out, total);
    }
  }

 private:
  static constexpr Index panels_per_chunk = 64;

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

  /// Adds what a panel gives to all rows.
  void absorb(Index panel, Index first, Index rows, const S* queries, const ValueRows<S>& v, const kernel::Sums<S>& to,
              WorkerScratch& scratch) const {
    const Index c0 = panel * kernels_.width, count = std::min<Index>(kernels_.width, source_.grid().m - c0);
    const S* values = v.data + c0 * v.stride;
    bool asked = false, finite = true;
    const auto from_memory = [&](S* tile, Index r, Index n, const Range& columns) {
      if (!std::exchange(asked, true)) finite = kernels_.all_finite(values, v.stride, count, v.padded);
      for (Index i = 0; i < n; i += kernels_.height)
        kernels_.attend_scores(tile + i * kernels_.width, columns.begin, columns.end, values, v.stride, v.padded,
                               finite, to.from(r + i, kernels_.lanes));
    };
    tiles_.visit(
        panel, first, rows, scratch,
        [&](Index r, Index n) {
          if (tiles_.is_plain(panel))
            kernels_.attend_panel(queries + r * source_.d(), tiles_.round_up(n) / kernels_.height,
                                  source_.keys().panel(panel), source_.d(), source_.scale(), values, v.stride, v.padded,
                                  to.from(r, kernels_.lanes));
          else
            from_memory(tiles_.scores(panel, first, r, n, queries, scratch), r, n, {0, count});
        },
        [&](Index r, Index n) {
          from_memory(tiles_.masked_scores(panel, first, r, n, queries, scratch), r, n, tiles_.seen(panel, r, scratch));
        });
  }

  const Bound& source_;
  const Stages& stages_;
  Tiles<Bound, Stages, before> tiles_;
  const kernel::Kernels<S>& kernels_;
  Index height_;
};

}  // namespace filigree::detail
