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

/// The parts of a pattern with a stride, for rows [first, last): blocks of the queries of each residue, and all keys of
/// this residue. The dense term of the pattern is not in the parts.
template <class P, class Stages>
class StridedParts {
  using Form = detail::Form<Stages>;
  static constexpr std::size_t at = Form::strided;
  using StrideForm = decltype(stride_of(std::declval<const std::tuple_element_t<at, Stages>&>()));
  using Dense = decltype(StrideForm::dense);
  using Stepped = And<decltype(StrideForm::stepped), Not<Dense>>;

 public:
  static constexpr bool has_dense = !std::is_same_v<Dense, KeepNone>;
  struct Part {
    Residue residue;
    Order order;
  };

  StridedParts(const P& problem, const Stages& stages, Index first, Index last, Index blocks)
      : problem_(problem),
        stages_(stages),
        stride_(stride_of(std::get<at>(stages))),
        stepped_{stride_.stepped, {stride_.dense}},
        first_(first),
        last_(last),
        blocks_(blocks) {}

  /// Returns the stages with the dense term of the pattern instead of the pattern.
  static auto dense_stages(const Stages& stages) {
    return with_indices<std::tuple_size_v<Stages>>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple(dense_stage<At>(stages)...);
    });
  }

  /// No two parts have the same query.
  [[nodiscard]] Index count() const { return residues() * blocks_; }
  [[nodiscard]] Index per_round() const { return count(); }
  [[nodiscard]] Index max_keys() const { return ceil_div(problem_.grid.m, stride_.step); }
  /// The number of columns that a part stores in `memory`.
  [[nodiscard]] Index memory() const { return ceil_div(last_ - first_, stride_.step) + max_keys(); }

  [[nodiscard]] Part part(Index number, Column* memory) const {
    const Grid& grid = problem_.grid;
    const Index step = stride_.step, first = first_ + number / blocks_, block = number % blocks_;
    const Index rows = (last_ - first - 1) / step + 1, rows_per_block = ceil_div(rows, blocks_);
    const Index begin = (std::min)(block * rows_per_block, rows), end = (std::min)(begin + rows_per_block, rows);
    const Index c0 = floor_mod(grid.query_at + first - grid.key_at, step);
    const Index keys = c0 >= grid.m ? 0 : (grid.m - c0 - 1) / step + 1, queries = keys == 0 ? 0 : end - begin;
    Column* const columns = memory + queries;
    for (Index s = 0; s < queries; ++s) memory[s] = static_cast<Column>(first + (begin + s) * step);
    for (Index t = 0; t < keys; ++t) columns[t] = static_cast<Column>(c0 + t * step);
    return {
        {.step = step, .p0 = grid.query_at + first + begin * step, .j0 = grid.key_at + c0, .keys = keys, .grid = grid},
        {{memory, static_cast<std::size_t>(queries)}, {columns, static_cast<std::size_t>(keys)}}};
  }
  /// Returns the stages of the dense problem of a part. They refer to it.
  [[nodiscard]] auto stages(const Part& part) const {
    return with_indices<std::tuple_size_v<Stages>>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple(stage<At>(part)...);
    });
  }
  [[nodiscard]] static Index residues(const Stages& stages, Index rows) {
    return (std::min)(stride_of(std::get<at>(stages)).step, rows);
  }

 private:
  [[nodiscard]] Index residues() const { return (std::min)(stride_.step, last_ - first_); }
  template <std::size_t At>
  static auto dense_stage(const Stages& stages) {
    if constexpr (At == at)
      return stride_of(std::get<At>(stages)).dense;
    else
      return std::get<At>(stages);
  }
  template <std::size_t At>
  auto stage(const Part& part) const {
    if constexpr (At == at)
      return Reindexed<const Stepped&, const Residue&>{stepped_, part.residue};
    else
      return reordered_stage(std::get<At>(stages_), part.order, problem_.grid);
  }

  const P& problem_;
  const Stages& stages_;
  StrideForm stride_;
  Stepped stepped_;
  Index first_, last_, blocks_;
};

template <class P, class Stages>
class StridedEngine {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;
  using Parts = StridedParts<P, Stages>;
  using DenseStages = decltype(Parts::dense_stages(std::declval<const Stages&>()));

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
        dense_stages_(Parts::dense_stages(stages)),
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
    const Index residues = Parts::residues(stages_, count);
    const Index blocks = (std::max<Index>)(session.concurrency() * 2 / std::max<Index>(residues, 1), 1);
    const Parts parts(problem_, stages_, first, first + count, blocks);
    session.run(parts.count(), [&](Index number, Index worker) {
      WorkerScratch& scratch = session.scratch(worker);
      ScratchFrame frame(scratch);
      const auto part = parts.part(number, frame.take<Column>(parts.memory()));
      if (part.order.queries.empty()) return;
      attend_reordered(problem_, part.order, parts.stages(part), v, scratch,
                       [&](Index row, const SoftmaxState<S>& state) { run.from(row).merge(state, 1); });
    });
    return run;
  }

 private:
  template <class Sink>
  void finish(const Run& run, Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    const Softmax& softmax = std::get<Form::streamed>(stages_);
    const SoftmaxState<S> stepped = run.from(first);
    if constexpr (Parts::has_dense) {
      ScratchFrame frame(scratch);
      const SoftmaxState<S> state = dense_.partial(first, last - first, {sink.values()}, frame, scratch);
      state.merge(stepped, last - first);
      finish_rows(first, last - first, state, softmax, sink);
    } else {
      finish_rows(first, last - first, stepped, softmax, sink);
    }
  }

  const P& problem_;
  const Stages& stages_;
  DenseStages dense_stages_;
  OnlineSoftmaxEngine<P, DenseStages> dense_;
};

}  // namespace filigree::detail
