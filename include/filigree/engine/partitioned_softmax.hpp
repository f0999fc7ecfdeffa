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

/// The parts of a partitioned pattern, for rows [first, last).
template <class P, class Stages>
class PartitionedParts {
  using Form = detail::Form<Stages>;

 public:
  struct Part {
    Order order;
    Index round;
  };

  PartitionedParts(const P& problem, const Stages& stages, Index first, Index last)
      : problem_(problem), stages_(stages), first_(first), last_(last) {}

  /// The parts are those of the rounds, one round after another. No two parts of a round have the same query.
  [[nodiscard]] Index count() const { return pattern().rounds() * pattern().parts(); }
  [[nodiscard]] Index per_round() const { return pattern().parts(); }
  [[nodiscard]] Index max_keys() const { return pattern().part_size(); }
  /// The number of columns that a part stores in `memory`.
  [[nodiscard]] Index memory() const { return pattern().part_size(); }

  [[nodiscard]] Part part(Index number, Column* memory) const {
    const Index round = number / per_round();
    return {pattern().part(round, number % per_round(), first_, last_, Form::counts_repeats, memory), round};
  }
  /// Returns the stages of the dense problem of a part. They refer to it.
  [[nodiscard]] auto stages(const Part& part) const {
    return with_indices<std::tuple_size_v<Stages>>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple_cat(stage<At>(part)...);
    });
  }

 private:
  [[nodiscard]] const auto& pattern() const { return std::get<Form::partitioned>(stages_); }
  template <std::size_t At>
  auto stage(const Part& part) const {
    const auto& stage = std::get<At>(stages_);
    if constexpr (At == Form::partitioned)
      return std::tuple(stage.round_pattern(part.round, part.order.queries, part.order.keys, Form::counts_repeats));
    else if constexpr (Form::counts_repeats && At == Form::partitioned + 1)
      return std::tuple();
    else
      return std::tuple(reordered_stage(stage, part.order, problem_.grid));
  }

  const P& problem_;
  const Stages& stages_;
  Index first_, last_;
};

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
    const PartitionedParts<P, Stages> parts(problem_, stages_, first, first + count);
    for (Index begin = 0; begin < parts.count(); begin += parts.per_round())
      session.run(parts.per_round(), [&](Index number, Index worker) {
        WorkerScratch& scratch = session.scratch(worker);
        ScratchFrame frame(scratch);
        const auto part = parts.part(begin + number, frame.take<Column>(parts.memory()));
        if (part.order.queries.empty()) return;
        for (const Column row : part.order.queries) run.from(row).prefetch();
        attend_reordered(problem_, part.order, parts.stages(part), v, scratch,
                         [&](Index row, const SoftmaxState<S>& state) { run.from(row).merge(state, 1); });
      });
    return run;
  }

 private:
  template <class Sink>
  void finish(const Run& run, Index first, Index last, WorkerScratch&, Sink&& sink) const {
    finish_rows(first, last - first, run.from(first), std::get<Form::streamed>(stages_), sink);
  }

  const P& problem_;
  const Stages& stages_;
};

}  // namespace filigree::detail
