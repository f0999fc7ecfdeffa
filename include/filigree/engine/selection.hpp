// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <tuple>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/engine/candidate_lists.hpp"
#include "filigree/engine/finish_lists.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/guess_record.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/selection_parts.hpp"
#include "filigree/run/engine_kind.hpp"
#include "filigree/run/evaluator.hpp"
#include "filigree/select/threshold.hpp"

// The selection engine: scores | patterns and maps | top_k, threshold, sparsemax or entmax | any stages. Tiles of
// scores are compared with each row's bound while they are in registers. Scores above the bound are appended to the
// row's candidates. The n x m scores are never materialized. The bound of sparsemax and entmax is the largest score so
// far, minus the distance from which on weights are 0.

namespace filigree::detail {

template <class P, class Stages>
class SelectionEngine {
  using Form = detail::Form<Stages>;
  using S = typename P::Scalar;
  using Panels = ScoreTiles<P, Stages>;
  static constexpr bool ranked = Form::is_ranked, near_maximum = Form::selects_near_maximum;
  static constexpr S absent = -std::numeric_limits<S>::infinity();

 public:
  /// The rows from `first` on, with their selections from parts of the keys if a few queries have many keys.
  struct Run {
    const SelectionEngine& engine;
    Index first = 0;
    SelectionParts<S> selections{};

    void rows(Index begin, Index end, WorkerScratch& scratch, const RowSink<S>& sink) const {
      engine.rows(*this, begin, end, scratch, sink);
    }
  };
  static constexpr bool fused = true, reads_stored_values = true;
  static constexpr EngineKind kind = EngineKind::selection;

  /// `count` is the total number of rows of the evaluation.
  SelectionEngine(P& problem, const Stages& stages, const Session& session, Index count)
      : problem_(problem), stages_(stages), tiles_(problem, stages), kernels_(kernel::kernels<S>()) {
    if constexpr (ranked) {
      k_ = (std::min)(std::get<Form::streamed>(stages).k, problem.grid.m);
      parts_ = KeyParts::of(count, problem.grid.m, k_, kernels_.width, session);
    }
    const Index tasks = session.concurrency() > 1 && parts_.count == 1 ? 4 * session.concurrency() : 1;
    const Index rows_per_task = tiles_.round_up(std::max<Index>(ceil_div(count, tasks), 1));
    // A block of queries and a panel of keys share the L1 cache, and a panel is read once per block. If a panel alone
    // would fill the L1 cache, both are in the L2 cache, and larger blocks read fewer panels from memory.
    const CacheBudget cache = cache_budget();
    const Index cached = cache.queries / (static_cast<Index>(sizeof(S)) * std::max<Index>(problem.d(), 1));
    const Index rows = cached >= 96 ? 96 : 4 * cached >= 96 ? 192 : 384;
    block_ = (std::min)(tiles_.round_up(rows), rows_per_task);
    // With few blocks, each block packs a panel when it reads the panel.
    const Index max_rows = (std::min)(tiles_.round_up(std::max<Index>(rows, 192)), rows_per_task);
    packs_on_read_ = count <= problem.keys.max_repacks() * max_rows;
    // Rows of a few vectors of scores are searched in place, a few groups at a time, so that they are in the L1 cache.
    const Index max_short = std::min<Index>(16 * kernels_.lanes, kernel::max_short_row);
    is_short_ = ranked && problem.grid.m <= max_short;
    packs_on_read_ = packs_on_read_ && !is_short_;
    if (packs_on_read_) block_ = max_rows;
    if (is_short_) block_ = std::min<Index>(block_, 8 * kernels_.height);
    problem.pack(session, packs_on_read_ ? 1 : count);
    height_ = block_;
    tile_stride_ = is_short_ ? round_up(problem.grid.m, Index(kernels_.width)) : kernels_.width;
    append_capacity_ = kernels_.width + 2 * Row<S>::padding;  // one more panel, in whole vectors, plus one vector
    if constexpr (ranked) {
      // Long enough that the lists are rarely reduced, short enough that a reduction, which reads the list, is fast.
      limit_ = (std::min)(k_ + std::max<Index>(128, k_), problem.grid.m);
      // V and the keys evict each other from the L2 cache, so several blocks are scored before V is read.
      const Index kept_rows = cache.kept / (static_cast<Index>(sizeof(S) + sizeof(Column)) * (k_ + Row<S>::padding));
      height_ *= is_short_ ? 1 : std::max<Index>((std::min)(kept_rows, rows_per_task) / block_, 1);
      if (parts_.count > 1) height_ = kernels_.height;  // all rows are scored before the first task
    }
  }

  /// Returns the number of rows that one task finishes.
  [[nodiscard]] Index height() const { return height_; }
  /// Returns the number of rows that are scored together.
  [[nodiscard]] Index block() const { return block_; }

  /// Allocates the buffers for one block of queries whose size is known in advance.
  template <class Sink>
  void reserve(WorkerScratch& scratch, const Sink&) const {
    tiles_.reserve(block_, scratch);
    problem_.keys.reserve(scratch);
    if constexpr (ranked) {
      scratch.row.values.get<double>(k_);
      scratch.row.columns.get<Column>(k_);
    }
    ScratchFrame frame(scratch);
    (void)take_kept(height_, frame);
    const Memory memory(*this, block_, frame, scratch);
    (void)frame.take<S>(2 * kernels_.height * problem_.d());  // of queries.pack()
  }

  /// With a few queries and many keys, selects from parts of the keys in parallel.
  Run prepare(Index first, Index count, const Session& session, const RowSink<S>&) const {
    if constexpr (ranked)
      if (parts_.count > 1) {
        const SelectionParts<S> selections(count, parts_.count, k_, session);
        session.run(parts_.count, [&](Index part, Index worker) {
          select(first, first + count, selections[part], session.scratch(worker), parts_[part]);
        });
        return {*this, first, selections};
      }
    return {*this};
  }

 private:
  void rows(const Run& run, Index first, Index last, WorkerScratch& scratch, const RowSink<S>& sink) const {
    ScratchFrame frame(scratch);
    if constexpr (ranked) {
      const kernel::Candidates<S> kept = take_kept(last - first, frame);
      if (parts_.count > 1)
        run.selections.merge(first - run.first, last - first, kept);
      else
        select(first, last, kept, scratch, Panels::all_panels);
      finish(first, last - first, kept, scratch, sink);
    } else {
      Memory memory(*this, last - first, frame, scratch);
      const kernel::Candidates<S>& candidates = stream(first, last, near_maximum, memory, scratch);
      if constexpr (near_maximum) {
        finish_near_maximum(first, last - first, memory, scratch, sink);
      } else {
        finish(first, last - first, candidates, scratch, sink);
      }
    }
  }

  /// The memory of a block of at most `rows` rows.
  struct Memory {
    Memory(const SelectionEngine& engine, Index rows, ScratchFrame& f, const WorkerScratch& scratch)
        : frame(f),
          queries(engine.tiles_.take_queries(rows, f)),
          tile(f.take<S>(engine.tiles_.round_up(rows) * engine.tile_stride_)),
          candidates(engine.take_candidates(engine.tiles_.round_up(rows), f, scratch)),
          maximum(near_maximum ? f.take<S>(engine.tiles_.round_up(rows)) : nullptr),
          seen(near_maximum ? f.take<Column>(engine.tiles_.round_up(rows)) : nullptr) {}
    ScratchFrame& frame;
    S* queries;  // [groups][d][height]
    S* tile;     // [rows][tile_stride_]
    kernel::Candidates<S> candidates;
    S* maximum;    // [rows] the largest candidate, for bounds relative to the maximum
    Column* seen;  // [rows] the number of candidates that `maximum` includes
  };

  /// Selects the k largest scores of each query from some panels of keys.
  void select(Index first, Index last, const kernel::Candidates<S>& to, WorkerScratch& scratch,
              const Range& panels) const {
    ScratchFrame frame(scratch);
    Memory memory(*this, (std::min)(block_, last - first), frame, scratch);
    for (Index begin = first; begin < last; begin += block_)
      select_block(begin, (std::min)(begin + block_, last), to.from(begin - first), memory, scratch, panels);
  }
  void select_block(Index first, Index last, const kernel::Candidates<S>& to, Memory& memory, WorkerScratch& scratch,
                    const Range& panels) const {
    const bool guesses = !is_short_ && guess_record_.pays_off();
    const kernel::Candidates<S> candidates = stream(first, last, guesses, memory, scratch, panels);
    if (is_short_) return kernels_.list_top_k(memory.tile, tile_stride_, last - first, problem_.grid.m, k_, to);
    kernels_.move_top_k(candidates, last - first, k_, to);
    // Reducing a list keeps at least k candidates. A row with a bound and fewer candidates has guessed a bound that is
    // too high. Its group is computed again, in the buffers of the first group, which is finished by then.
    Index failed = 0;
    for (Index r = 0; r < last - first; r += kernels_.height) {
      const Index rows = std::min<Index>(kernels_.height, last - first - r);
      const Index failed_before = failed;
      for (Index i = r; i < r + rows; ++i) failed += candidates.count[i] < k_ && candidates.bound[i] > absent ? 1 : 0;
      if (failed > failed_before)
        kernels_.move_top_k(stream(first + r, first + r + rows, false, memory, scratch, panels), rows, k_, to.from(r));
    }
    if (guesses) guess_record_.add(last - first, failed);
  }

  /// Computes the scores of a block of queries against some panels of keys and returns the candidates. If no guess
  /// fails, these include all scores that the selector keeps. Short rows stay in memory.tile instead. Their absent
  /// scores are -inf, also those that pad a row up to a whole vector.
  kernel::Candidates<S> stream(Index first, Index last, bool guess, Memory& memory, WorkerScratch& scratch,
                               const Range& panels = Panels::all_panels) const {
    const Index rows = last - first, padded = tiles_.round_up(rows);
    const auto block = tiles_.begin(first, rows, memory.queries, scratch);
    kernel::Candidates<S>& candidates = memory.candidates;
    clear(candidates, rows, padded);
    if constexpr (near_maximum) {
      std::fill_n(memory.maximum, padded, absent);
      std::fill_n(memory.seen, padded, Column(0));
    }
    if (is_short_ && (Form::streams_patterns || problem_.keys.dropped().begin < problem_.keys.dropped().end))
      std::fill_n(memory.tile, rows * tile_stride_, absent);
    const Index keys = tiles_.keys(scratch, panels);
    // With more keys per kept key, reducing lists costs little compared to the product. A guess also fails more often:
    // it is about the tail of a distribution, and the first scores say little about the tail. If panels are packed when
    // they are read, computing a block again repeats the packing too.
    if constexpr (ranked) guess = guess && keys <= (packs_on_read_ ? 256 : 512) * k_;
    Index processed = 0, next_check = keys / 8, too_high = 0;
    const auto append_panel = [&](Index panel) {
      if (too_high > 0) return;
      tiles_.request_for_maps(block, (panel + 1) * kernels_.width, (panel + 2) * kernels_.width,
                              padded / kernels_.height, scratch);
      append(panel, block, memory, scratch);
      if (is_short_) return;
      processed += kernels_.width;
      if constexpr (near_maximum) {
        if (guess) kernels_.follow_maximum(candidates, padded, reach(), memory.maximum, memory.seen);
      } else if (guess) {
        raise_bounds(candidates, padded, static_cast<double>(processed) / static_cast<double>(keys));
        if (processed >= next_check && processed < keys) {
          too_high = count_too_high(candidates, rows, processed, keys);
          next_check = 2 * processed;
        }
      }
      ensure_capacity(padded, memory, scratch);
    };
    tiles_.for_each_panel(scratch, append_panel, panels);
    if (too_high == 0) return candidates;
    guess_record_.add(0, too_high);
    return stream(first, last, false, memory, scratch, panels);
  }

  /// Returns the number of rows whose guessed bound is too high: fewer than k candidates would remain if the remaining
  /// keys were distributed like the processed keys. Returns 0 if so few rows fail that computing them again costs less.
  Index count_too_high(const kernel::Candidates<S>& candidates, Index rows, Index processed, Index keys) const {
    const Index min_count = k_ * processed / keys;
    Index too_high = 0;
    for (Index r = 0; r < rows; ++r)
      too_high += candidates.count[r] < min_count && candidates.bound[r] > absent ? 1 : 0;
    return 8 * too_high >= rows ? too_high : 0;
  }

  /// The distance from the maximum to the bound. The list then has all scores that the normalizer would take from the
  /// whole row (bound_within), so that its sums have the same order.
  [[nodiscard]] S reach() const requires(near_maximum) {
    return static_cast<S>(1.002 * reach_of(std::get<Form::streamed>(stages_)));
  }

  /// Removes the candidates that were appended when the bounds were lower, and finishes the rows. The lists then do not
  /// depend on the order in which the bounds rose. A row with NaN or +inf needs all of its scores, so it is computed
  /// again without a bound.
  void finish_near_maximum(Index first, Index rows, const Memory& memory, WorkerScratch& scratch,
                           const RowSink<S>& sink) const {
    const kernel::Candidates<S>& candidates = memory.candidates;
    for (Index r = 0; r < rows; ++r) {
      const kernel::Candidates<S> row = candidates.from(r);
      *row.count = static_cast<Column>(kernels_.keep_above(row.values, row.columns, Index(*row.count), *row.bound));
      if (*row.count == 0 || is_finite_list(memory.maximum[r], row)) {
        finish(first + r, 1, row, scratch, sink);
        continue;
      }
      ScratchFrame frame(scratch);
      Memory again(*this, 1, frame, scratch);
      finish(first + r, 1, stream(first + r, first + r + 1, false, again, scratch), scratch, sink);
    }
  }

  /// Applies the stages after the selector and passes the rows to the sink.
  void finish(Index first, Index rows, const kernel::Candidates<S>& kept, WorkerScratch& scratch,
              const RowSink<S>& sink) const {
    finish_lists(problem_.grid, first, rows, kept, scratch, sink, [&](Row<S>& row) {
      with_indices<Form::size - Form::after_selection>([&]<std::size_t... At>(std::index_sequence<At...>) {
        (apply(std::get<Form::after_selection + At>(stages_), row), ...);
      });
    });
  }

  /// Takes memory for lists of candidates.
  kernel::Candidates<S> take_candidates(Index padded, ScratchFrame& frame, const WorkerScratch& scratch) const {
    Index stride = limit_ + append_capacity_;
    if constexpr (!ranked)
      stride = std::max<Index>(256 + append_capacity_, scratch.candidate_capacity / std::max<Index>(padded, 1));
    return take_lists<S>(padded, stride, frame);
  }
  /// Empties the lists of candidates. The rows after the last query of a group, whose scores are 0, get no candidates.
  void clear(const kernel::Candidates<S>& candidates, Index rows, Index padded) const {
    S bound = absent;
    if constexpr (!ranked && !near_maximum) bound = round_bound<S>(std::get<Form::streamed>(stages_).t);
    std::fill_n(candidates.count, padded, Column(0));
    std::fill_n(candidates.bound, rows, bound);
    std::fill(candidates.bound + rows, candidates.bound + padded, -absent);
  }

  /// Takes memory for the selected scores of several blocks.
  kernel::Candidates<S> take_kept(Index rows, ScratchFrame& frame) const {
    return take_lists<S>(rows, k_ + Row<S>::padding, frame);
  }

  /// Appends the candidates of a panel of keys to all rows: directly from registers if the scores need no mask or map,
  /// otherwise through a tile in memory.
  void append(Index panel, const typename Panels::Block& block, const Memory& memory, WorkerScratch& scratch) const {
    const auto column = static_cast<Column>(panel * kernels_.width);
    const kernel::Candidates<S>& candidates = memory.candidates;
    const auto tile_of = [&](Index r) { return is_short_ ? memory.tile + r * tile_stride_ + column : memory.tile; };
    const auto append_tile = [&](Index r, Index n) {
      if (!is_short_) kernels_.append_scores(memory.tile, kernels_.width, n, column, candidates.from(r));
    };
    tiles_.visit(
        panel, block, scratch,
        [&](Index r, Index n) {
          if (is_short_ || !tiles_.is_plain(panel)) {
            tiles_.scores(panel, block, r, n, tile_of(r), tile_stride_, scratch);
            append_tile(r, n);
          } else if (packs_on_read_) {
            append_groups(panel, block, r, n, candidates, scratch);
          } else {
            tiles_.panel_of(panel, block, scratch)
                .append(block.queries + r * problem_.d(), tiles_.round_up(n) / kernels_.height, column,
                        candidates.from(r));
          }
        },
        [&](Index r, Index n) {
          tiles_.masked_scores(panel, block, r, n, tile_of(r), tile_stride_, scratch);
          append_tile(r, n);
        });
  }

  /// Appends the candidates of an unmasked panel group by group, and prefetches the keys of the next panel meanwhile.
  void append_groups(Index panel, const typename Panels::Block& block, Index r, Index n,
                     const kernel::Candidates<S>& candidates, WorkerScratch& scratch) const {
    const S* keys = problem_.keys.panel(panel, scratch);
    const auto column = static_cast<Column>(panel * kernels_.width);
    if ((panel + 1) * kernels_.width < problem_.grid.m) problem_.keys.prefetch(panel + 1, scratch.prefetcher);
    scratch.prefetcher.pace(tiles_.round_up(n) / kernels_.height);
    for (const Index end = r + n; r < end; r += kernels_.height) {
      scratch.prefetcher.issue();
      kernels_.append_panel(block.queries + r * problem_.d(), 1, keys, problem_.d(), problem_.scale, column,
                            candidates.from(r));
    }
    scratch.prefetcher.clear();
  }

  /// Estimates a bound for rows with long lists. Slightly more than k of all keys will exceed it, if the scores of the
  /// remaining keys are distributed like the processed `fraction` of the keys. Without a guess, most of the time for
  /// reducing lists is spent on keys that are among the k largest only temporarily.
  void raise_bounds(const kernel::Candidates<S>& candidates, Index rows, double fraction) const {
    if constexpr (ranked) {
      const double k = static_cast<double>(k_), expected = fraction * (k + 11 * std::sqrt(k));
      if (expected < k / 2) kernels_.estimate_bounds(candidates, rows, limit_, static_cast<float>(expected));
    }
  }

  /// Ensures that every row has capacity for one more panel.
  void ensure_capacity(Index rows, Memory& memory, WorkerScratch& scratch) const {
    kernel::Candidates<S>& candidates = memory.candidates;
    if constexpr (ranked) {
      kernels_.keep_top_k(candidates, rows, k_, k_ / 2, limit_);
    } else {
      Index longest = *std::max_element(candidates.count, candidates.count + rows);
      if (longest + append_capacity_ <= candidates.stride) return;
      if constexpr (near_maximum) {  // bounds have risen since the first candidates were appended
        for (Index r = 0; r < rows; ++r) {
          const kernel::Candidates<S> row = candidates.from(r);
          *row.count = static_cast<Column>(kernels_.keep_above(row.values, row.columns, Index(*row.count), *row.bound));
          memory.seen[r] = *row.count;
        }
        longest = *std::max_element(candidates.count, candidates.count + rows);
        if (2 * longest + append_capacity_ <= candidates.stride) return;
      }
      const Index stride = 2 * candidates.stride;
      grow_lists(candidates, rows, stride, memory.frame);
      scratch.candidate_capacity = (std::max)(scratch.candidate_capacity, rows * stride);  // of the next block
    }
  }

  const P& problem_;
  const Stages& stages_;
  Panels tiles_;
  const kernel::Kernels<S>& kernels_;
  bool is_short_;               // true if rows have so few scores that all of them are in memory
  bool packs_on_read_ = false;  // true if panels are packed when they are read
  Index block_, height_;        // number of rows that are scored together, and of rows that one task finishes
  Index tile_stride_, append_capacity_;
  Index k_ = 0, limit_ = 0;
  KeyParts parts_;  // of the keys, which are searched in parallel
  mutable GuessRecord guess_record_;
};

}  // namespace filigree::detail
