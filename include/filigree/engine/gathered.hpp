// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/run/engine_kind.hpp"
#include "filigree/run/evaluator.hpp"

// The gathered engine: scores | patterns and maps | any stages. For one query at a time, it computes only the scores of
// the keys that the query keeps, as a list. Then it applies the other stages to the list.

namespace filigree::detail {

template <class P, class Stages>
class GatheredEngine {
  using Form = detail::Form<Stages>;
  using S = typename P::Scalar;
  static constexpr S absent = -std::numeric_limits<S>::infinity();

 public:
  static constexpr bool fused = true;
  static constexpr EngineKind kind = EngineKind::gathered;

  GatheredEngine(P& problem, const Stages& stages, const Session& session, Index count)
      : problem_(problem), stages_(stages), tiles_(problem, stages), kernels_(kernel::kernels<S>()) {
    problem.pack(session, count);
  }

  /// Returns the number of rows per task. Neighboring queries share keys, which then are in the cache.
  [[nodiscard]] Index height() const { return 48; }

  void reserve(WorkerScratch& scratch) const {
    problem_.keys.reserve(scratch);
    scratch.gathered_owner = nullptr;
  }

  void run(Index first, Index last, WorkerScratch& scratch, const RowSink<S>& sink) const {
    Index same_until = first;
    for (Index i = first; i < last; ++i) {
      if (i >= same_until) {
        tiles_.plan(i, i + 1, scratch.coverage, scratch.block_spans);
        same_until = tiles_.same_keys_until(i);
      }
      Row<S> row = kept_scores(i, scratch);
      each_stage_after([&](const auto& stage) { apply(stage, row); });
      sink(row, scratch);
    }
  }

 private:
  /// Spans with at least this many keys per vector are scored from the packed panels; keys of other spans are gathered.
  /// Gathering costs about 25 cycles per key, scoring a packed vector 64 cycles (d = 64).
  static constexpr Index min_keys_per_vector = 3;

  Row<S> kept_scores(Index i, WorkerScratch& scratch) const {
    Index max_count = 0;
    for (const KeySpan& span : scratch.block_spans) max_count += span.end - span.begin;
    const Index lanes = kernels_.lanes, d = problem_.d();
    S* values = scratch.values.get<S>(max_count + Row<S>::padding);
    Column* columns = scratch.columns.get<Column>(max_count + Row<S>::padding);
    S* query = scratch.queries.get<S>(d);
    problem_.queries.copy(i, query);

    Column* keys_to_gather = scratch.counts.get<Column>(2 * max_count);
    Column* targets = keys_to_gather + max_count;  // their positions in the list
    Index count = 0, gather_count = 0;
    for (const KeySpan& span : scratch.block_spans) {
      const Index size = span.end - span.begin;
      for (Index e = 0; e < size; ++e) columns[count + e] = static_cast<Column>(span.begin + e);
      const Index begin = span.begin / lanes, end = ceil_div(span.end, lanes);
      if (problem_.keys.packed() != nullptr && size >= min_keys_per_vector * (end - begin)) {
        S* run = scratch.tile.get<S>((end - begin) * lanes);
        kernels_.score_run(query, problem_.keys.packed(), begin, end, d, problem_.scale, run);
        std::copy_n(run + (span.begin - begin * lanes), size, values + count);
      } else {
        for (Index e = 0; e < size; ++e) {
          keys_to_gather[gather_count] = static_cast<Column>(span.begin + e);
          targets[gather_count++] = static_cast<Column>(count + e);
        }
      }
      count += size;
    }
    score_gathered(query, keys_to_gather, targets, gather_count, values, scratch);

    Index at = 0;
    for (const KeySpan& span : scratch.block_spans) at = tiles_.apply_to_span(values, at, span, i);
    count = kernels_.keep_above(values, columns, count, absent);
    return make_row(problem_.grid, i, values, columns, count, scratch);
  }

  /// Computes the scores of gathered keys. A panel that was gathered for the previous query is used again if it holds
  /// the same keys.
  void score_gathered(const S* query, const Column* keys_to_gather, const Column* targets, Index count, S* values,
                      WorkerScratch& scratch) const {
    const Index width = kernels_.width, d = problem_.d(), panels = ceil_div(count, width);
    if (std::exchange(scratch.gathered_owner, this) != this) scratch.gathered_count = 0;
    const Index reusable = round_up(scratch.gathered_count, width);
    S* keys = scratch.gathered.grow<S>(panels * width * d, reusable * d);
    Column* held_columns = scratch.gathered_columns.grow<Column>(panels * width, reusable);
    S* tile = scratch.tile.get<S>(width);
    for (Index p = 0; p < panels; ++p) {
      const Index begin = p * width, n = (std::min)(width, count - begin);
      if (begin + n > scratch.gathered_count ||
          !std::equal(keys_to_gather + begin, keys_to_gather + begin + n, held_columns + begin)) {
        problem_.keys.gather(keys_to_gather + begin, n, keys + begin * d);
        std::copy_n(keys_to_gather + begin, n, held_columns + begin);
        scratch.gathered_count = begin + n;
      }
      kernels_.score_run(query, keys + begin * d, 0, ceil_div(n, kernels_.lanes), d, problem_.scale, tile);
      for (Index e = 0; e < n; ++e) values[targets[begin + e]] = tile[e];
    }
  }

  template <class F>
  void each_stage_after(F&& f) const {
    with_indices<Form::size - Form::streamed>([&]<std::size_t... At>(std::index_sequence<At...>) {
      (f(std::get<Form::streamed + At>(stages_)), ...);
    });
  }

  const P& problem_;
  const Stages& stages_;
  ScoreTiles<P, Stages> tiles_;
  const kernel::Kernels<S>& kernels_;
};

}  // namespace filigree::detail
