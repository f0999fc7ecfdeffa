// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/with_indices.hpp"
#include "filigree/engine/reordered.hpp"

// Patterns that are partitioned into dense parts, in one or state rounds. A part is a subset of the queries that
// attends to a subset of the keys. Each part is a dense problem, and its sums are merged into the sums of its queries.

namespace filigree::detail {

/// A pattern that is partitioned into dense parts. In each round a query is in one part. `CountRepeats` is a map that
/// may follow the pattern; with it, a key counts once for each round in which the query attends to it.
template <class P>
concept PartitionedPattern = PatternStage<P> && requires {
  typename std::remove_cvref_t<P>::CountRepeats;
};

/// Describes a pipeline for this engine. `at` is the index of the partitioned pattern, `repeats` is true if its
/// CountRepeats map follows. `matches` is true if the engine supports the pipeline: one for the online softmax engine,
/// with no other pattern that is expensive to evaluate, since the other patterns are evaluated for each pair.
template <class Stages>
struct PartitionedForm;
template <class... T>
struct PartitionedForm<std::tuple<T...>> {
  using Stages = std::tuple<T...>;
  static constexpr std::size_t at = [] {
    constexpr bool partitioned[] = {PartitionedPattern<T>..., true};
    std::size_t i = 0;
    while (!partitioned[i]) ++i;
    return i;
  }();
  static constexpr bool repeats = [] {
    if constexpr (at + 1 < sizeof...(T))
      return std::is_same_v<std::remove_cvref_t<std::tuple_element_t<at + 1, Stages>>,
                            typename std::remove_cvref_t<std::tuple_element_t<at, Stages>>::CountRepeats>;
    else
      return false;
  }();
  /// With repeated keys, no map may follow, because keys are counted after all maps.
  static constexpr bool matches = [] {
    if constexpr (is_online_softmax_form<Stages> && at < sizeof...(T)) {
      constexpr bool maps[] = {MapStage<T>...};
      for (std::size_t i = at + 2; repeats && i < sizeof...(T); ++i)
        if (maps[i]) return false;
      return (int(PatternStage<T> && keeps_is_expensive<T>) + ...) ==
             int(keeps_is_expensive<std::tuple_element_t<at, Stages>>);
    } else {
      return false;
    }
  }();
};

template <class Bound, class Stages>
class PartitionedEngine {
  using S = typename Bound::Scalar;
  using Form = PartitionedForm<Stages>;

 public:
  static constexpr bool fused = true;

  PartitionedEngine(const Bound& source, const Stages& stages, const Session&, Index)
      : source_(source), stages_(stages) {}

  [[nodiscard]] Index height() const { return 64; }

  template <class Sink>
  void prepare(Index first, Index count, const Session& session, const Sink& sink) const {
    const ValueRows<S>& v = sink.values();
    first_ = first;
    sums_ = allocate_state<S>(session.next_buffer(), count, v.padded);
    clear(sums_, count);
    const auto& pattern = std::get<Form::at>(stages_);
    for (Index round = 0; round < pattern.rounds(); ++round)
      session.run(pattern.parts(), [&](Index part, Index worker) {
        WorkerScratch& scratch = session.scratch(worker);
        Column* memory = scratch.kept_columns.get<Column>(pattern.part_size());
        const Order order = pattern.part(round, part, first, first + count, Form::repeats, memory);
        if (order.queries.empty()) return;
        for (const Column row : order.queries) prefetch(sums(row));
        attend_reordered(source_, order, part_stages(round, order), v, scratch,
                         [&](Index row, const kernel::SoftmaxState<S>& state) {
                           kernel::kernels<S>().merge(sums(row), state, 1, v.padded);
                         });
      });
  }

  template <class Sink>
  void run(Index first, Index last, WorkerScratch&, Sink&& sink) const {
    finish_rows(first, last - first, sums(first), std::get<std::tuple_size_v<Stages> - 1>(stages_), sink);
  }

 private:
  [[nodiscard]] kernel::SoftmaxState<S> sums(Index row) const {
    return sums_.from(row - first_, kernel::kernels<S>().lanes);
  }

  auto part_stages(Index round, const Order& order) const {
    return with_indices<std::tuple_size_v<Stages>>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple_cat(part_stage<At>(round, order)...);
    });
  }
  template <std::size_t At>
  auto part_stage(Index round, const Order& order) const {
    const auto& stage = std::get<At>(stages_);
    if constexpr (At == Form::at)
      return std::tuple(stage.round_pattern(round, order.queries, order.keys, Form::repeats));
    else if constexpr (Form::repeats && At == Form::at + 1)
      return std::tuple();
    else
      return std::tuple(reordered_stage(stage, order, source_.grid()));
  }

  const Bound& source_;
  const Stages& stages_;
  mutable Index first_ = 0;
  mutable kernel::SoftmaxState<S> sums_{};  // of rows from first_ on
};

}  // namespace filigree::detail
