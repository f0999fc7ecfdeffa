// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/reordered.hpp"
#include "filigree/engine/stride.hpp"
#include "filigree/pattern/algebra.hpp"
#include "filigree/pattern/keep.hpp"
#include "filigree/pattern/reindexed.hpp"
#include "filigree/run/engine_kind.hpp"

// Patterns with a stride. Grouped by their residue modulo the stride l, queries and keys form l dense problems.

namespace filigree::detail {

/// The queries and keys with the same residue modulo `step`: positions p0 + s step and j0 + t step.
struct Residue {
  Index step, p0, j0;
  Index keys;  // number of keys
  const Grid& grid;

  [[nodiscard]] Index query(Index s) const { return p0 + s * step; }
  [[nodiscard]] Index key(Index t) const { return j0 + t * step; }
  [[nodiscard]] const Grid& original(const Grid&) const { return grid; }
  template <class F>
  void for_each_range(Index s0, Index s1, F&& f) const {
    f(query(s0), query(s1 - 1) + 1);
  }
  [[nodiscard]] Index first_query(Index q) const {
    constexpr Index max_index = (std::numeric_limits<Index>::max)();
    return q <= p0 ? 0 : q > max_index / 2 ? max_index : (q - p0 - 1) / step + 1;
  }
  void to_keys(Index mark, Ranges& ranges, const Grid& residue_grid) const {
    const auto index_of = [&](Index j) { return j <= j0 ? 0 : (std::min)((j - j0 - 1) / step + 1, keys); };
    ranges.transform(mark, [&](const Range& r) { return Range{index_of(r.begin), index_of(r.end)}; });
    ranges.normalize(mark, residue_grid);
  }
};

template <class P, class Stages>
class StridedEngine {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;
  static constexpr std::size_t at = Form::strided;
  using StrideForm = decltype(stride_of(std::declval<const std::tuple_element_t<at, Stages>&>()));
  using Dense = decltype(StrideForm::dense);
  static constexpr bool has_dense = !std::is_same_v<Dense, KeepNone>;
  using Stepped = And<decltype(StrideForm::stepped), Not<Dense>>;

  template <std::size_t At>
  static auto dense_stage(const Stages& stages, const StrideForm& stride) {
    if constexpr (At == at)
      return stride.dense;
    else
      return std::get<At>(stages);
  }
  static auto dense_stages(const Stages& stages, const StrideForm& stride) {
    return with_indices<std::tuple_size_v<Stages>>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple(dense_stage<At>(stages, stride)...);
    });
  }
  using DenseStages = decltype(dense_stages(std::declval<const Stages&>(), std::declval<const StrideForm&>()));

 public:
  /// The sums of rows from `first` on, over the keys that the strided term keeps.
  struct Run {
    const StridedEngine& engine;
    Index first;
    SoftmaxState<S> sums;

    template <class Sink>
    void rows(Index begin, Index end, WorkerScratch& scratch, Sink&& sink) const {
      engine.finish(*this, begin, end, scratch, sink);
    }
    [[nodiscard]] SoftmaxState<S> from(Index row) const { return sums.from(row - first); }
  };
  static constexpr bool fused = true;
  static constexpr EngineKind kind = EngineKind::strided_softmax;

  StridedEngine(P& problem, const Stages& stages, const Session& session, Index count)
      : problem_(problem),
        stages_(stages),
        stride_(stride_of(std::get<at>(stages))),
        stepped_{stride_.stepped, {stride_.dense}},
        dense_stages_(dense_stages(stages, stride_)),
        dense_(problem, dense_stages_, session, count) {}

  [[nodiscard]] Index height() const { return dense_.height(); }
  template <class Sink>
  void reserve(WorkerScratch& scratch, const Sink& sink) const {
    dense_.reserve(scratch, sink);
  }

  /// Computes the sums of rows [first, first + count) over the keys that the strided term keeps.
  template <OutputSink<S> Sink>
  Run prepare(Index first, Index count, const Session& session, const Sink& sink) const {
    const ValueRows<S>& v = sink.values();
    S* memory = session.next_buffer().get<S>(SoftmaxState<S>::size(count, v.padded));
    const Run run{*this, first, SoftmaxState<S>(memory, count, v.padded)};
    run.sums.clear(count);
    const Index residues = (std::min)(stride_.step, count);
    const Index blocks = (std::max<Index>)(session.concurrency() * 2 / std::max<Index>(residues, 1), 1);
    session.run(residues * blocks, [&](Index task, Index worker) {
      attend_residue(run, first + task / blocks, first + count, task % blocks, blocks, v, session.scratch(worker));
    });
    return run;
  }

 private:
  template <class Sink>
  void finish(const Run& run, Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    const Softmax& softmax = std::get<Form::streamed>(stages_);
    const SoftmaxState<S> stepped = run.from(first);
    if constexpr (has_dense) {
      ScratchFrame frame(scratch);
      const SoftmaxState<S> state = dense_.partial(first, last - first, {sink.values()}, frame, scratch);
      state.merge(stepped, last - first);
      finish_rows(first, last - first, state, softmax, sink);
    } else {
      finish_rows(first, last - first, stepped, softmax, sink);
    }
  }

  /// Computes part `part` of `parts` of the rows with the residue of row `first`.
  void attend_residue(const Run& run, Index first, Index last, Index part, Index parts, const ValueRows<S>& v,
                      WorkerScratch& scratch) const {
    const Grid& grid = problem_.grid;
    const Index step = stride_.step, rows = (last - first - 1) / step + 1, rows_per_part = ceil_div(rows, parts);
    const Index begin = (std::min)(part * rows_per_part, rows), end = (std::min)(begin + rows_per_part, rows);
    const Index c0 = floor_mod(grid.query_at + first - grid.key_at, step);
    if (begin == end || c0 >= grid.m) return;
    const Residue residue{.step = step,
                          .p0 = grid.query_at + first + begin * step,
                          .j0 = grid.key_at + c0,
                          .keys = (grid.m - c0 - 1) / step + 1,
                          .grid = grid};
    ScratchFrame frame(scratch);
    Column* queries = frame.take<Column>(end - begin);
    Column* keys = frame.take<Column>(residue.keys);
    for (Index s = begin; s < end; ++s) queries[s - begin] = static_cast<Column>(first + s * step);
    for (Index t = 0; t < residue.keys; ++t) keys[t] = static_cast<Column>(c0 + t * step);
    const Order order{{queries, static_cast<std::size_t>(end - begin)}, {keys, static_cast<std::size_t>(residue.keys)}};

    const auto stages = with_indices<std::tuple_size_v<Stages>>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple(stepped_stage<At>(residue, order)...);
    });
    attend_reordered(problem_, order, stages, v, scratch,
                     [&](Index row, const SoftmaxState<S>& state) { run.from(row).merge(state, 1); });
  }

  template <std::size_t At>
  auto stepped_stage(const Residue& residue, const Order& order) const {
    if constexpr (At == at)
      return Reindexed<const Stepped&, const Residue&>{stepped_, residue};
    else
      return reordered_stage(std::get<At>(stages_), order, problem_.grid);
  }

  const P& problem_;
  const Stages& stages_;
  StrideForm stride_;
  Stepped stepped_;
  DenseStages dense_stages_;
  OnlineSoftmaxEngine<P, DenseStages> dense_;
};

}  // namespace filigree::detail
