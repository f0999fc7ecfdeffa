// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <tuple>

#include "filigree/core/integers.hpp"
#include "filigree/engine/finish_rows.hpp"
#include "filigree/engine/row_ranges.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/engine/values.hpp"

namespace filigree::detail {

/// Softmax times V of queries that attend to few consecutive keys each, as in a narrow window. As many queries as a
/// vector has lanes are computed together, and the rows of Q, K and V are read in place. The numbers are the same as
/// those of tiles of packed keys.
template <class P, class Stages>
class NarrowPass {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;

 public:
  static constexpr bool possible = RowRanges<Stages>::possible && Form::ends_in_softmax && requires(const P& problem) {
    problem.queries.in_place();
    problem.keys.in_place();
  };

  NarrowPass(const P& problem, const Stages& stages)
      : problem_(problem), stages_(stages), kernels_(kernel::kernels<S>()) {}

  /// Computes the outputs of the rows [first, last) and passes them to the sink. Returns false if Q or K cannot be read
  /// in place, or if the first rows attend to too many keys. Calls by_tiles(i, n) for rows [i, i + n) that this pass
  /// cannot compute: they attend to too many keys, or a row of V is not finite.
  template <class Sink, class ByTiles>
  bool attend(Index first, Index last, const ValueRows<S>& v, WorkerScratch& scratch, Sink&& sink,
              ByTiles&& by_tiles) const {
    const Index lanes = kernels_.lanes;
    if (problem_.d() == 0 || v.padded == 0 || !v.is_plain() || last - first < lanes / 2) return false;
    if (problem_.queries.in_place().data == nullptr || problem_.keys.in_place().data == nullptr) return false;
    RowRanges<Stages> ranges;
    if (!compute(first, (std::min)(last - first, lanes), ranges, scratch)) return false;
    for (; first < last; first += lanes) {
      const Index n = (std::min)(lanes, last - first);
      if (!attend_lanes(first, n, v, scratch, sink)) by_tiles(first, n);
    }
    return true;
  }

  /// Reserves the memory of attend().
  void reserve(const ValueRows<S>& v, WorkerScratch& scratch) const {
    ScratchFrame frame(scratch);
    frame.reserve<S>({kernel::NarrowAttention<S>::size(problem_.d(), max_keys(), kernels_.lanes),
                      kernels_.lanes * v.padded, SoftmaxState<S>::size(2 * kernels_.lanes, v.padded)});
  }

 private:
  template <class Sink>
  bool attend_lanes(Index first, Index n, const ValueRows<S>& v, WorkerScratch& scratch, Sink&& sink) const {
    RowRanges<Stages> ranges;
    if (!compute(first, n, ranges, scratch)) return false;
    const Index lanes = kernels_.lanes, d = problem_.d();
    for (Index r = n; r < lanes; ++r) ranges.begin[r] = ranges.end[r] = 0;
    const Range hull = ranges.hull.begin < ranges.hull.end ? ranges.hull : Range{0, 0};
    const Index middle = round_up(hull.begin + 1, SoftmaxChunk::keys);
    S maximum[RowRanges<Stages>::max_rows], sum[RowRanges<Stages>::max_rows];
    ScratchFrame frame(scratch);
    const kernel::StridedRows<const S> q = problem_.queries.in_place();
    kernel::NarrowAttention<S> a{.q = {q.data + first * q.stride, q.stride},
                                 .k = problem_.keys.in_place(),
                                 .v = {v.data, v.stride},
                                 .count = n,
                                 .d = d,
                                 .dv = v.padded,
                                 .scale = problem_.scale,
                                 .sink = static_cast<S>(std::get<Form::streamed>(stages_).sink),
                                 .begin = ranges.begin,
                                 .end = ranges.end,
                                 .first = static_cast<Column>(hull.begin),
                                 .last = static_cast<Column>(hull.end),
                                 .memory = frame.take<S>(kernel::NarrowAttention<S>::size(d, max_keys(), lanes)),
                                 .out = {frame.take<S>(lanes * v.padded), v.padded},
                                 .maximum = maximum,
                                 .sum = sum,
                                 .lane_sums = nullptr};
    if (middle < hull.end) return attend_chunks(first, a, ranges, static_cast<Column>(middle), frame, sink);
    if constexpr (requires { sink.in_place(first); }) {
      const kernel::StridedRows<S> rows = sink.in_place(first);
      if (rows.data != nullptr) {
        a.out = rows;
        if (!kernels_.attend_narrow(a)) return false;
        for (Index r = 0; r < n; ++r) sink.take_sums(first + r, {maximum[r], sum[r]});
        return true;
      }
    }
    if (!kernels_.attend_narrow(a)) return false;
    for (Index r = 0; r < n; ++r)
      sink.take(first + r, a.out.data + r * v.padded, kernel::LogSumExp<S>{maximum[r], sum[r]});
    return true;
  }

  /// Computes the outputs of rows that attend to keys of two chunks, the second from `middle` on, and merges them.
  template <class Sink>
  bool attend_chunks(Index first, kernel::NarrowAttention<S> a, const RowRanges<Stages>& ranges, Column middle,
                     ScratchFrame& frame, Sink&& sink) const {
    const Index lanes = kernels_.lanes;
    const SoftmaxState<S> states(frame.take<S>(SoftmaxState<S>::size(2 * lanes, a.dv)), 2 * lanes, a.dv);
    const Column hull_begin = a.first, hull_end = a.last;
    Column begin[RowRanges<Stages>::max_rows], end[RowRanges<Stages>::max_rows];
    a.begin = begin;
    a.end = end;
    for (const Index row : {Index(0), lanes}) {
      a.first = row == 0 ? hull_begin : middle;
      a.last = row == 0 ? middle : hull_end;
      for (Index r = 0; r < lanes; ++r) {
        begin[r] = (std::max)(ranges.begin[r], a.first);
        end[r] = (std::min)(ranges.end[r], a.last);
      }
      const SoftmaxState<S> state = states.from(row);
      a.out = {state.out, state.stride};
      a.maximum = state.maximum;
      a.lane_sums = state.sum;
      if (!kernels_.attend_narrow(a)) return false;
    }
    states.merge(states.from(lanes), a.count);
    finish_rows(first, a.count, states, std::get<Form::streamed>(stages_), sink);
    return true;
  }

  /// More keys are computed faster by tiles of packed keys. They are fewer than a chunk.
  [[nodiscard]] Index max_keys() const { return 6 * kernels_.lanes; }

  /// Computes the ranges of n rows. Returns false if a row has several ranges, or if they are not narrow.
  bool compute(Index first, Index n, RowRanges<Stages>& ranges, WorkerScratch& scratch) const {
    if (!ranges.compute(stages_, first, n, problem_.grid, scratch.coverage.maybe)) return false;
    const Range& hull = ranges.hull;
    if (hull.begin >= hull.end) return true;
    return hull.end - hull.begin <= max_keys();
  }

  const P& problem_;
  const Stages& stages_;
  const kernel::Kernels<S>& kernels_;
};

}  // namespace filigree::detail
