// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/with_indices.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/reordered.hpp"
#include "filigree/run/engine_kind.hpp"

// Patterns that are partitioned into dense parts, in one or more rounds. A part is a subset of the queries that
// attends to a subset of the keys. Each part is a dense problem, and its sums are merged into the sums of its queries.

namespace filigree::detail {

template <class P, class Stages>
class PartitionedEngine {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;

 public:
  /// The sums of rows from `first` on.
  struct Run {
    const PartitionedEngine& engine;
    Index first;
    SoftmaxState<S> sums;

    template <class Sink>
    void rows(Index begin, Index end, WorkerScratch& scratch, Sink&& sink) const {
      engine.finish(*this, begin, end, scratch, sink);
    }
    [[nodiscard]] SoftmaxState<S> from(Index row) const { return sums.from(row - first); }
  };
  static constexpr bool fused = true;
  static constexpr EngineKind kind = EngineKind::partitioned_softmax;

  PartitionedEngine(P& problem, const Stages& stages, const Session&, Index) : problem_(problem), stages_(stages) {}

  [[nodiscard]] Index height() const { return 64; }

  template <OutputSink<S> Sink>
  Run prepare(Index first, Index count, const Session& session, const Sink& sink) const {
    const ValueRows<S>& v = sink.values();
    S* memory = session.next_buffer().get<S>(SoftmaxState<S>::size(count, v.padded));
    const Run run{*this, first, SoftmaxState<S>(memory, count, v.padded)};
    run.sums.clear(count);
    const auto& pattern = std::get<Form::partitioned>(stages_);
    for (Index round = 0; round < pattern.rounds(); ++round)
      session.run(pattern.parts(), [&](Index part, Index worker) {
        WorkerScratch& scratch = session.scratch(worker);
        ScratchFrame frame(scratch);
        Column* columns = frame.take<Column>(pattern.part_size());
        const Order order = pattern.part(round, part, first, first + count, Form::counts_repeats, columns);
        if (order.queries.empty()) return;
        for (const Column row : order.queries) run.from(row).prefetch();
        attend_reordered(problem_, order, part_stages(round, order), v, scratch,
                         [&](Index row, const SoftmaxState<S>& state) { run.from(row).merge(state, 1); });
      });
    return run;
  }

 private:
  template <class Sink>
  void finish(const Run& run, Index first, Index last, WorkerScratch&, Sink&& sink) const {
    finish_rows(first, last - first, run.from(first), std::get<Form::streamed>(stages_), sink);
  }

  auto part_stages(Index round, const Order& order) const {
    return with_indices<std::tuple_size_v<Stages>>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple_cat(part_stage<At>(round, order)...);
    });
  }
  template <std::size_t At>
  auto part_stage(Index round, const Order& order) const {
    const auto& stage = std::get<At>(stages_);
    if constexpr (At == Form::partitioned)
      return std::tuple(stage.round_pattern(round, order.queries, order.keys, Form::counts_repeats));
    else if constexpr (Form::counts_repeats && At == Form::partitioned + 1)
      return std::tuple();
    else
      return std::tuple(reordered_stage(stage, order, problem_.grid));
  }

  const P& problem_;
  const Stages& stages_;
};

}  // namespace filigree::detail
