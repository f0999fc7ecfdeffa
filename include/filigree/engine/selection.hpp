// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "filigree/engine/panels.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/select/threshold.hpp"
#include "filigree/select/top_k.hpp"

// The selection engine: scores | patterns and maps | top_k or threshold | anything. Tiles of scores are compared with
// each row's bound while they are in registers; what exceeds it is appended to the row's candidates. n x m scores never
// exist.

namespace filigree::detail {

/// Whether a pipeline on scores has the form of the engine, and where its selector stands.
template <class Stages>
struct SelectionForm;
template <class... T>
struct SelectionForm<std::tuple<T...>> {
  static constexpr std::size_t size = sizeof...(T);
  static constexpr std::size_t selector = [] {
    constexpr bool stream[] = {PatternStage<T> || MapStage<T>..., false};
    std::size_t at = 0;
    while (stream[at]) ++at;
    return at;
  }();
  static constexpr bool matches = [] {
    constexpr bool selects[] = {std::is_same_v<T, TopK> || std::is_same_v<T, Threshold>..., false};
    return selects[selector] && (RowStage<T> && ...);
  }();
};

template <class Bound, class Stages>
class SelectionEngine {
  using Form = SelectionForm<Stages>;
  using S = typename Bound::Scalar;
  using Selector = std::tuple_element_t<Form::selector, Stages>;
  using Panels = ScoreTiles<Bound, Stages, Form::selector>;
  static constexpr bool ranked = std::is_same_v<Selector, TopK>;
  static constexpr S absent = -std::numeric_limits<S>::infinity();

 public:
  static constexpr bool fused = true;

  /// `count` rows will be asked for in all.
  SelectionEngine(const Bound& source, const Stages& stages, const Session& session, Index count)
      : source_(source), stages_(stages), tiles_(source, stages), kernels_(kernel::kernels<S>()) {
    const Index tasks = session.concurrency() > 1 ? 4 * session.concurrency() : 1;
    const Index fair = tiles_.round_up(std::max<Index>((count + tasks - 1) / tasks, 1));
    // A block of queries and a panel of keys share the first-level cache; a panel is read once per block. Where a panel
    // alone would fill it, both are in the second, and the more queries the fewer panels come from beyond.
    const CacheShares cache = cache_shares();
    const Index cached = cache.queries / (static_cast<Index>(sizeof(S)) * std::max<Index>(source.d(), 1));
    const Index rows = cached >= 96 ? 96 : 4 * cached >= 96 ? 192 : 384;
    block_ = (std::min)(tiles_.round_up(rows), fair);
    if constexpr (requires { source.passes(); }) {
      // A few blocks pack each panel when they read it.
      const Index high = (std::min)(tiles_.round_up(std::max<Index>(rows, 192)), fair);
      packs_ = count <= source.passes() * high;
      if (packs_) block_ = high;
    }
    pack_keys(source, session, packs_ ? 1 : count);
    height_ = block_;
    room_ = kernels_.width + 2 * Row<S>::padding;  // one more panel, in whole vectors, and a vector beyond them
    if constexpr (ranked) {
      // Long enough that thinning is rare, short enough that it is cheap: a pass reads all of it.
      k_ = (std::min)(std::get<Form::selector>(stages).k, source.grid().m);
      limit_ = (std::min)(k_ + std::max<Index>(128, k_), source.grid().m);
      // V and the keys displace each other from the second-level cache, so they take turns of many blocks.
      const Index held = cache.kept / (static_cast<Index>(sizeof(S) + sizeof(Column)) * (k_ + Row<S>::padding));
      height_ *= std::max<Index>((std::min)(held, fair) / block_, 1);
    }
  }

  /// Rows that one task finishes.
  [[nodiscard]] Index height() const { return height_; }
  /// Rows that are scored together.
  [[nodiscard]] Index block() const { return block_; }

  /// Takes the memory that a block will need, as far as it is known before.
  void reserve(WorkerScratch& scratch) const {
    tiles_.reserve(block_, scratch);
    source_.reserve(scratch);
    start(block_, scratch);
    if constexpr (ranked) {
      scratch.row.values.get<double>(k_);
      scratch.row.columns.get<Column>(k_);
      hold(height_, scratch);
    }
  }

  void run(Index first, Index last, WorkerScratch& scratch, const RowSink<S>& sink) const {
    if constexpr (ranked) {
      const kernel::Candidates<S> kept = hold(last - first, scratch);
      for (Index begin = first; begin < last; begin += block_) {
        best(begin, (std::min)(begin + block_, last), kept.from(begin - first), scratch);
      }
      finish(first, last - first, kept, scratch, sink);
    } else {
      finish(first, last - first, stream(first, last, false, scratch), scratch, sink);
    }
  }

 private:
  /// The k best of a block of queries.
  void best(Index first, Index last, const kernel::Candidates<S>& to, WorkerScratch& scratch) const {
    const bool guesses = guesses_pay();
    const kernel::Candidates<S> candidates = stream(first, last, guesses, scratch);
    kernels_.move_top_k(candidates, last - first, k_, to);
    // Thinning leaves k candidates or more: a row with a bound and fewer has guessed too high. Its group is streamed
    // again, in the memory of the first group, which has been seen to by then.
    Index failed = 0;
    for (Index r = 0; r < last - first; r += kernels_.height) {
      const Index rows = std::min<Index>(kernels_.height, last - first - r);
      const Index before = failed;
      for (Index i = r; i < r + rows; ++i) failed += candidates.count[i] < k_ && candidates.bound[i] > absent ? 1 : 0;
      if (failed > before)
        kernels_.move_top_k(stream(first + r, first + r + rows, false, scratch), rows, k_, to.from(r));
    }
    if (guesses) count_guesses(last - first, failed);
  }

  /// Whether guessing has not failed too often. It decides about time alone.
  [[nodiscard]] bool guesses_pay() const {
    return failed_.load(std::memory_order_relaxed) <= 4 + guessed_.load(std::memory_order_relaxed) / 64;
  }
  void count_guesses(Index rows, Index failed) const {
    guessed_.fetch_add(rows, std::memory_order_relaxed);
    failed_.fetch_add(failed, std::memory_order_relaxed);
  }

  /// Lets all keys stream by a block of queries; what the selector keeps is among the candidates, if no guess fails.
  kernel::Candidates<S> stream(Index first, Index last, bool guess, WorkerScratch& scratch) const {
    const Index rows = last - first, padded = tiles_.round_up(rows);
    const auto block = tiles_.begin(first, rows, scratch);
    kernel::Candidates<S> candidates = start(padded, scratch);
    const Index keys = tiles_.keys(scratch);
    // With more keys for each that is kept, thinning costs little compared with the product, and a guess fails more
    // often: it is about the tail of a distribution, of which the first scores tell little. To repeat costs packing,
    // too, where panels are packed when they are read.
    guess = guess && keys <= (packs_ ? 256 : 512) * k_;
    Index seen = 0, next_check = keys / 8, behind = 0;
    tiles_.for_each_panel(scratch, [&](Index panel) {
      if (behind > 0) return;
      append(panel, block, candidates, scratch);
      seen += kernels_.width;
      if (guess) {
        raise_bounds(candidates, padded, static_cast<double>(seen) / static_cast<double>(keys));
        if (seen >= next_check && seen < keys) {
          behind = rows_behind(candidates, rows, seen, keys);
          next_check = 2 * seen;
        }
      }
      make_room(candidates, padded, scratch);
    });
    if (behind == 0) return candidates;
    count_guesses(0, behind);
    return stream(first, last, false, scratch);
  }

  /// The number of rows whose guessed bound would leave them fewer than k candidates if the other keys were like those
  /// that were seen; 0 if these rows are so few that it is cheaper to stream them again in the end.
  Index rows_behind(const kernel::Candidates<S>& candidates, Index rows, Index seen, Index keys) const {
    const Index least = k_ * seen / keys;
    Index behind = 0;
    for (Index r = 0; r < rows; ++r) behind += candidates.count[r] < least && candidates.bound[r] > absent ? 1 : 0;
    return 8 * behind >= rows ? behind : 0;
  }

  /// The stages after the selector, and where the rows go.
  void finish(Index first, Index rows, const kernel::Candidates<S>& kept, WorkerScratch& scratch,
              const RowSink<S>& sink) const {
    for (Index r = 0; r < rows; ++r) {
      Row<S> row = make_row(source_.grid(), first + r, kept.values + r * kept.stride, kept.columns + r * kept.stride,
                            Index(kept.count[r]), scratch);
      each_stage_after_selector([&](const auto& stage) { apply(stage, row); });
      sink(row, scratch);
    }
  }

  template <class F>
  void each_stage_after_selector(F&& f) const {
    [&]<std::size_t... At>(std::index_sequence<At...>) { (f(std::get<Form::selector + 1 + At>(stages_)), ...); }
    (std::make_index_sequence<Form::size - Form::selector - 1>{});
  }

  kernel::Candidates<S> start(Index padded, WorkerScratch& scratch) const {
    Index stride = limit_ + room_;
    if constexpr (!ranked) {
      const auto held =
          static_cast<Index>((std::min)(scratch.values.bytes() / sizeof(S), scratch.columns.bytes() / sizeof(Column)));
      stride = std::max<Index>(256 + room_, held / padded);
    }
    kernel::Candidates<S> candidates{.values = scratch.values.get<S>(padded * stride),
                                     .columns = scratch.columns.get<Column>(padded * stride),
                                     .stride = stride,
                                     .count = scratch.counts.get<Column>(padded),
                                     .bound = scratch.bounds.get<S>(padded)};
    S bound = absent;
    if constexpr (!ranked) bound = rounded_bound<S>(std::get<Form::selector>(stages_).t);
    std::fill_n(candidates.count, padded, Column(0));
    std::fill_n(candidates.bound, padded, bound);
    return candidates;
  }

  /// Room for the best of many blocks.
  kernel::Candidates<S> hold(Index rows, WorkerScratch& scratch) const {
    const Index stride = k_ + Row<S>::padding;
    return {.values = scratch.kept_values.get<S>(rows * stride),
            .columns = scratch.kept_columns.get<Column>(rows * stride),
            .stride = stride,
            .count = scratch.kept_counts.get<Column>(rows),
            .bound = nullptr};
  }

  /// Appends what a panel of keys gives to all rows: from the registers if nothing stands between score and bound, else
  /// by way of a tile in memory.
  void append(Index panel, const typename Panels::Block& block, const kernel::Candidates<S>& candidates,
              WorkerScratch& scratch) const {
    const auto column = static_cast<Column>(panel * kernels_.width);
    const auto append_scores = [&](const S* tile, Index r, Index n) {
      kernels_.append_scores(tile, kernels_.width, n, column, candidates.from(r));
    };
    tiles_.visit(
        panel, block, scratch,
        [&](Index r, Index n) {
          if (tiles_.is_plain(panel) && packs_)
            append_groups(panel, block, r, n, candidates, scratch);
          else if (tiles_.is_plain(panel))
            kernels_.append_panel(block.queries + r * source_.d(), tiles_.round_up(n) / kernels_.height,
                                  source_.panel(panel, scratch), source_.d(), source_.scale(), column,
                                  candidates.from(r));
          else
            append_scores(tiles_.scores(panel, block, r, n, scratch), r, n);
        },
        [&](Index r, Index n) { append_scores(tiles_.masked_scores(panel, block, r, n, scratch), r, n); });
  }

  /// Appends group by group what an unmasked panel gives, and meanwhile fetches the keys of the next from memory.
  void append_groups(Index panel, const typename Panels::Block& block, Index r, Index n,
                     const kernel::Candidates<S>& candidates, WorkerScratch& scratch) const {
    const S* keys = source_.panel(panel, scratch);
    const auto column = static_cast<Column>(panel * kernels_.width);
    if constexpr (requires { source_.request_panel(panel, scratch.prefetcher); })
      if ((panel + 1) * kernels_.width < source_.grid().m) source_.request_panel(panel + 1, scratch.prefetcher);
    scratch.prefetcher.pace(tiles_.round_up(n) / kernels_.height);
    for (const Index end = r + n; r < end; r += kernels_.height) {
      scratch.prefetcher.issue();
      kernels_.append_panel(block.queries + r * source_.d(), 1, keys, source_.d(), source_.scale(), column,
                            candidates.from(r));
    }
    scratch.prefetcher.clear();
  }

  /// Gives rows with long lists a bound that somewhat more than k of all keys will exceed, if the scores of the others
  /// are like those of the `share` that has been seen. Without a guess, most of thinning is for keys that are among the
  /// best so far and will not stay there.
  void raise_bounds(const kernel::Candidates<S>& candidates, Index rows, double share) const {
    if constexpr (ranked) {
      const double k = static_cast<double>(k_), expected = share * (k + 11 * std::sqrt(k));
      if (expected < k / 2) kernels_.estimate_bounds(candidates, rows, limit_, static_cast<float>(expected));
    }
  }

  /// Ensures that every row can take one more panel.
  void make_room(kernel::Candidates<S>& candidates, Index rows, WorkerScratch& scratch) const {
    if constexpr (ranked) {
      kernels_.keep_top_k(candidates, rows, k_, k_ / 2, limit_);
    } else {
      const Index longest = *std::max_element(candidates.count, candidates.count + rows);
      if (longest + room_ <= candidates.stride) return;
      const Index old = candidates.stride, stride = 2 * old;
      candidates.values = scratch.values.grow<S>(rows * stride, rows * old);
      candidates.columns = scratch.columns.grow<Column>(rows * stride, rows * old);
      candidates.stride = stride;
      for (Index r = rows - 1; r > 0; --r) {
        std::copy_backward(candidates.values + r * old, candidates.values + r * old + candidates.count[r],
                           candidates.values + r * stride + candidates.count[r]);
        std::copy_backward(candidates.columns + r * old, candidates.columns + r * old + candidates.count[r],
                           candidates.columns + r * stride + candidates.count[r]);
      }
    }
  }

  const Bound& source_;
  const Stages& stages_;
  Panels tiles_;
  const kernel::Kernels<S>& kernels_;
  bool packs_ = false;    // panels when they are read
  Index block_, height_;  // rows that are scored together, rows that one task finishes
  Index room_;
  Index k_ = 0, limit_ = 0;
  mutable std::atomic<Index> guessed_{0}, failed_{0};  // rows
};

}  // namespace filigree::detail
