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
#include "filigree/engine/few_queries_plan.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/engine/value_source.hpp"
#include "filigree/run/evaluator.hpp"
#include "filigree/run/workspace.hpp"

// The engine of a few queries of several heads, as in decoding: scores | stages of rows, times V. The queries of all
// query heads of a key head are rows of one block, so K and V are read once. Tasks are ranges of keys. Their results
// are merged in ascending order, so the outputs do not depend on the number of threads, and have the bits that each
// head has alone.

namespace filigree::detail {

/// How the engine of few queries combines the scores of a row.
enum class FewQueriesMode { softmax, top_k, list };

template <class Stages>
inline constexpr FewQueriesMode few_queries_mode =
    Form<Stages>::ends_in_softmax                          ? FewQueriesMode::softmax
    : Form<Stages>::is_selection&& Form<Stages>::is_ranked ? FewQueriesMode::top_k
                                                           : FewQueriesMode::list;

template <class Attention>
class FewQueriesEngine {
  using S = typename Attention::Scalar;
  using Stages = typename Attention::Stages;
  using Form = detail::Form<Stages>;
  using Mode = FewQueriesMode;
  static constexpr Mode mode = few_queries_mode<Stages>;
  static constexpr S absent = -std::numeric_limits<S>::infinity();
  static constexpr Index chunk = SoftmaxChunk::keys;
  using Batch = HeadBatch<S>;

 public:
  /// Plans the keys and divides them into `tasks` tasks, if there are as many chunks.
  FewQueriesEngine(const Attention& attention, const Session& session, Index tasks)
      : a_(attention), session_(session), kernels_(kernel::kernels<S>()), plan_(attention, session) {
    key_tasks_ = std::clamp<Index>(tasks, 1, std::max<Index>(plan_.chunk_count(), 1));
    head_tasks_ = std::clamp<Index>(ceil_div(tasks, key_tasks_), 1, a_.hkv);
    take_results();
    for (Index worker = 0; worker < session.concurrency(); ++worker) reserve(session.scratch(worker));
  }

  /// Returns the number of tasks of attend(), which may run concurrently.
  [[nodiscard]] Index tasks() const { return key_tasks_ * head_tasks_; }
  /// Processes a range of keys for a range of key heads.
  void attend(Index task, WorkerScratch& scratch) const {
    const Index key_task = task / head_tasks_, head_task = task % head_tasks_;
    const Index chunks = plan_.chunk_count();
    const Index begin = key_task * chunks / key_tasks_, end = (key_task + 1) * chunks / key_tasks_;
    const Index first = head_task * a_.hkv / head_tasks_, last = (head_task + 1) * a_.hkv / head_tasks_;
    if constexpr (mode == Mode::top_k) {
      ScratchFrame frame(scratch);
      const kernel::Candidates<S> candidates = take_candidates((last - first) * plan_.rows(), frame);
      for_each_batch(begin, end, first, last, scratch, [&](const Batch& batch) {
        for (Index j = batch.first; j < batch.last; ++j)
          select(batch, j, candidates.from((j - first) * plan_.rows()), scratch);
      });
      for (Index j = first; j < last; ++j)
        kernels_.move_top_k(candidates.from((j - first) * plan_.rows()), plan_.rows(), k_of(j),
                            kept_.from(kept_row(key_task, j, 0)));
    } else if constexpr (mode == Mode::softmax) {
      for_each_batch(begin, end, first, last, scratch, [&](const Batch& batch) { attend_chunk(batch, scratch); });
    } else {
      for_each_batch(begin, end, first, last, scratch, [](const Batch&) {});
    }
  }

  /// Returns the number of tasks of finish(), which may run concurrently after all tasks of attend().
  [[nodiscard]] Index finish_tasks() const {
    return a_.hkv * (mode == Mode::softmax ? ceil_div(plan_.rows(), Index(kernels_.height)) : plan_.rows());
  }
  /// Merges the results of the tasks for some rows and writes the outputs.
  void finish(Index task, WorkerScratch& scratch) const {
    if constexpr (mode == Mode::softmax) {
      const Index groups = ceil_div(plan_.rows(), Index(kernels_.height)), r = task % groups * kernels_.height;
      finish_softmax(task / groups, r, std::min<Index>(kernels_.height, plan_.rows() - r));
    } else {
      finish_list(task / plan_.rows(), task % plan_.rows(), scratch);
    }
  }

 private:
  /// Takes the memory for the results of the tasks.
  void take_results() {
    Buffer& buffer = session_.next_buffer();
    Buffer& more = session_.next_buffer();
    if constexpr (mode == Mode::softmax) {
      const Index slots = slot_count() * a_.hkv, rows = slots * plan_.padded_rows(), dv = a_.values[0].padded();
      states_ = SoftmaxState<S>(buffer.get<S>(SoftmaxState<S>::size(rows, dv)), rows, dv);
      written_ = more.get<char>(slots);
      std::fill_n(written_, slots, char(0));
    } else if constexpr (mode == Mode::top_k) {
      for (Index j = 0; j < a_.hkv; ++j) max_k_ = (std::max)(max_k_, k_of(j));
      const Index rows = key_tasks_ * a_.hkv * plan_.rows(), stride = max_k_ + Row<S>::padding;
      S* values = buffer.get<S>(rows * (stride + 1));
      Column* columns = more.get<Column>(rows * (stride + 1));
      kept_ = {
          .values = values, .columns = columns, .stride = stride, .count = columns + rows * stride, .bound = nullptr};
    } else {
      list_stride_ = round_up(a_.grid.m, chunk) + Row<S>::padding;
      lists_ = buffer.get<S>(a_.hkv * plan_.padded_rows() * list_stride_);
    }
  }
  /// Returns the number of states of each key head: one if a single task visits all chunks, otherwise one per chunk.
  [[nodiscard]] Index slot_count() const { return key_tasks_ == 1 ? 1 : plan_.chunk_count(); }

  /// Allocates the buffers of a worker.
  void reserve(WorkerScratch& scratch) const {
    for (Index j = 0; j < a_.hkv; ++j) a_.keys[j].reserve(scratch);
    scratch.segments.reserve(32);
    const Index padded = a_.values[0].padded(), batch = (std::min)(max_batch(), a_.hkv), rows = plan_.padded_rows();
    const Index tiles = batch * rows * SoftmaxChunk::stride;
    ScratchFrame frame(scratch);
    if constexpr (mode == Mode::top_k) {
      (void)take_candidates(a_.hkv * plan_.rows(), frame);
      (void)frame.take<S>(tiles);
    } else if constexpr (mode == Mode::softmax) {
      frame.reserve<S>({tiles, SoftmaxState<S>::size(batch * rows, padded), Batch::turn * padded});
    }
  }

  /// Computes the scores of the chunks [begin, end) and the key heads [first, last), and calls use(batch) for batches
  /// of key heads. In matrices of all heads, the rows of the next head follow in memory, so heads that attend to the
  /// same keys take turns after a few keys.
  template <class Use>
  void for_each_batch(Index begin, Index end, Index first, Index last, WorkerScratch& scratch, const Use& use) const {
    const Index rows = plan_.padded_rows(), unit = mode == Mode::top_k ? kernels_.width : kernels_.lanes;
    constexpr bool in_lists = mode == Mode::list;
    for (Index i = begin; i < end; ++i) {
      const Index c0 = plan_.chunk_at(i) * chunk;
      for (Index j = first; j < last; j += max_batch()) {
        ScratchFrame frame(scratch);
        Batch batch{.i = i,
                    .c0 = c0,
                    .first = j,
                    .last = (std::min)(j + max_batch(), last),
                    .tiles = nullptr,
                    .stride = SoftmaxChunk::stride,
                    .size = rows * SoftmaxChunk::stride};
        plan_.collect_segments(j, c0, unit, scratch.segments);
        if (scratch.segments.empty()) continue;
        if constexpr (in_lists) {
          batch.stride = list_stride_;
          batch.size = rows * list_stride_;
          batch.tiles = lists_ + j * batch.size + c0;
        } else {
          batch.tiles = frame.take<S>((batch.last - j) * batch.size);
        }
        batch.for_each_turn(scratch.segments, [&](Index head, const kernel::Segment& s) {
          const Index ahead =
              batch.ahead(head, a_.keys[head].in_place(), a_.keys[batch.head_after(head)].in_place().data);
          plan_.score(head, c0, s, 0, rows, batch.tile(head), batch.stride, ahead, scratch);
        });
        for (Index head = j; head < batch.last; ++head)
          plan_.mask(head, c0, unit, 0, plan_.rows(), batch.tile(head), batch.stride, scratch.segments);
        use(batch);
      }
    }
  }
  /// Returns the largest number of key heads in a batch.
  [[nodiscard]] Index max_batch() const {
    constexpr Index max_bytes = Index{1} << 17;
    const Index bytes = plan_.padded_rows() * SoftmaxChunk::stride * static_cast<Index>(sizeof(S));
    return a_.shared && a_.keys[0].in_place().data != nullptr ? std::max<Index>(max_bytes / bytes, 1) : 1;
  }
  /// Adds the softmax of a chunk to the states of the key heads of a batch.
  void attend_chunk(const Batch& batch, WorkerScratch& scratch) const {
    const Index stride = batch.stride, padded = a_.values[0].padded(), rows = plan_.padded_rows();
    const auto& segments = scratch.segments;
    ScratchFrame frame(scratch);
    const Index heads = batch.last - batch.first;
    const SoftmaxState<S> parts(frame.take<S>(SoftmaxState<S>::size(heads * rows, padded)), heads * rows, padded);
    const auto part = [&](Index j) { return parts.from((j - batch.first) * rows); };
    std::fill_n(parts.out, heads * rows * padded, S(0));
    for (Index j = batch.first; j < batch.last; ++j)
      for_each_group([&](Index r, Index size) {
        kernels_.exponentiate_few(batch.tile(j) + r * stride, size, stride, segments.data(), segments.size(),
                                  part(j).from(r));
      });
    // Several groups read the rows of a turn again. Rows that are far apart would evict each other from the cache.
    const kernel::StridedRows<const S> some = a_.values[0].in_place(0);
    const bool copies = some.data == nullptr || (rows > kernels_.height && some.stride != padded);
    S* copy = copies ? frame.take<S>(Batch::turn * padded) : nullptr;
    batch.for_each_turn(segments, [&](Index j, const kernel::Segment& s) {
      const Index first = batch.c0 + s.begin, count = s.end - s.begin;
      kernel::StridedRows<const S> v{copy, padded};
      Index ahead = 0;
      if (copies) {
        for (Index e = 0; e < count; ++e) a_.values[j].copy(first + e, copy + e * padded);
      } else {
        v = a_.values[j].in_place(first);
        ahead = batch.ahead(j, v, a_.values[batch.head_after(j)].in_place(first).data);
      }
      for_each_group([&](Index r, Index size) {
        kernels_.accumulate_few(batch.tile(j) + r * stride + s.begin, size, stride, count, v.data, v.stride, padded,
                                ahead, part(j).from(r));
      });
    });
    for (Index j = batch.first; j < batch.last; ++j) {
      for_each_group([&](Index r, Index size) {
        const Index present = (std::min)(size, plan_.rows() - r);
        if (!kernels_.all_finite(part(j).from(r).out, padded, present, padded))
          attend_nonfinite(batch, j, r, size, part(j).from(r), scratch);
      });
      const Index slot = (key_tasks_ == 1 ? 0 : batch.i) * a_.hkv + j;
      const SoftmaxState<S> whole = states_.from(slot * rows);
      if (std::exchange(written_[slot], char(1)) == 0) whole.clear(plan_.rows());
      whole.merge(part(j), plan_.rows());
    }
  }
  /// Calls f(r, size) for the groups of rows of a key head.
  template <class F>
  void for_each_group(const F& f) const {
    for (Index r = 0; r < plan_.padded_rows(); r += plan_.group_rows(r)) f(r, plan_.group_rows(r));
  }
  /// Computes the softmax of a chunk again, for the group of rows at r, without multiplying masked weights by V: a
  /// masked weight is 0, and 0 * Inf is NaN.
  void attend_nonfinite(const Batch& batch, Index j, Index r, Index size, const SoftmaxState<S>& to,
                        WorkerScratch& scratch) const {
    const Index stride = batch.stride, present = (std::min)(size, plan_.rows() - r), padded = a_.values[j].padded();
    const auto& segments = scratch.segments;
    S* tile = batch.tile(j) + r * stride;
    for (const kernel::Segment& s : segments) plan_.score(j, batch.c0, s, r, r + size, tile, stride, 0, scratch);
    plan_.mask(j, batch.c0, kernels_.lanes, r, r + present, tile, stride, segments);
    kernel::StridedRows<const S> v = a_.values[j].in_place(batch.c0);
    ScratchFrame frame(scratch);
    if (v.data == nullptr) {
      S* copy = frame.take<S>(chunk * padded);
      for (const kernel::Segment& s : segments)
        for (Index e = s.begin; e < s.end; ++e) a_.values[j].copy(batch.c0 + e, copy + e * padded);
      v = {copy, padded};
    }
    kernels_.attend_nonfinite(tile, stride, segments.data(), segments.size(), v.data, v.stride, padded, present,
                              nullptr, to);
  }

  void finish_softmax(Index j, Index r, Index count) const {
    const Index slots = slot_count(), dv = a_.to.cols / a_.h;
    Index first = 0;
    while (first < slots && written_[first * a_.hkv + j] == 0) ++first;
    const auto slot = [&](Index s) { return states_.from((s * a_.hkv + j) * plan_.padded_rows() + r); };
    if (first == slots) slot(first = 0).clear(count);
    const SoftmaxState<S> whole = slot(first);
    for (Index s = first + 1; s < slots; ++s)
      if (written_[s * a_.hkv + j] != 0) whole.merge(slot(s), count);
    for (Index e = r; e < r + count; ++e) {
      const Index head = plan_.head_of(j, e);
      const SoftmaxState<S> row = whole.from(e - r);
      (void)row.normalize(static_cast<S>(std::get<Form::streamed>(a_.stages_of(head)).sink), S(1));
      target_of(head, dv).store_row(plan_.query_of(e), row.out);
    }
  }
  [[nodiscard]] Target<S> target_of(Index head, Index dv) const {
    Target<S> to = a_.to;
    to.data += head * dv * to.col_stride;
    to.cols = dv;
    return to;
  }

  /// Returns the largest k of the query heads of key head j.
  [[nodiscard]] Index k_of(Index j) const {
    Index k = 0;
    if constexpr (mode == Mode::top_k)
      for (Index g = 0; g < (a_.shared ? 1 : a_.group()); ++g)
        k = std::max<Index>(k, std::get<Form::streamed>(a_.stages_of(j * a_.group() + g)).k);
    return (std::min)(k, a_.grid.m);
  }
  [[nodiscard]] Index kept_row(Index task, Index j, Index r) const { return (task * a_.hkv + j) * plan_.rows() + r; }

  [[nodiscard]] Index limit() const { return (std::min)(max_k_ + std::max<Index>(128, max_k_), a_.grid.m); }
  /// Takes memory for empty lists of candidates.
  kernel::Candidates<S> take_candidates(Index rows, ScratchFrame& frame) const {
    const Index stride = limit() + kernels_.width + 2 * Row<S>::padding;
    const kernel::Candidates<S> candidates{.values = frame.take<S>(rows * stride),
                                           .columns = frame.take<Column>(rows * stride),
                                           .stride = stride,
                                           .count = frame.take<Column>(rows),
                                           .bound = frame.take<S>(rows)};
    std::fill_n(candidates.count, rows, Column(0));
    std::fill_n(candidates.bound, rows, absent);
    return candidates;
  }
  /// Appends the scores of a chunk to the candidates of the rows of key head j.
  void select(const Batch& batch, Index j, const kernel::Candidates<S>& candidates,
              const WorkerScratch& scratch) const {
    const Index width = kernels_.width, k = k_of(j);
    for (const kernel::Segment& s : scratch.segments)
      for (Index c = s.begin / width * width; c < s.end; c += width) {
        kernels_.append_scores(batch.tile(j) + c, batch.stride, plan_.rows(), static_cast<Column>(batch.c0 + c),
                               candidates);
        kernels_.keep_top_k(candidates, plan_.rows(), k, k / 2, limit());
      }
  }

  /// Makes the list of row r of key head j, applies the remaining stages, and multiplies the list by V.
  void finish_list(Index j, Index r, WorkerScratch& scratch) const {
    const Index head = plan_.head_of(j, r), i = plan_.query_of(r);
    ScratchFrame frame(scratch);
    const Stages& stages = a_.stages_of(head);
    Row<S> row = mode == Mode::top_k ? kept_of(j, r, frame, scratch) : list_of(j, r, frame, scratch);
    constexpr std::size_t next = mode == Mode::top_k ? Form::after_selection : Form::streamed;
    with_indices<Form::size - next>([&]<std::size_t... At>(std::index_sequence<At...>) {
      (apply(std::get<next + At>(stages), row), ...);
    });
    const Index dv = a_.to.cols / a_.h;
    multiply_by_values(row, a_.values[j], target_of(head, dv), i, frame);
  }
  /// Merges the selections of all tasks.
  Row<S> kept_of(Index j, Index r, ScratchFrame& frame, WorkerScratch& scratch) const {
    Index count = 0;
    for (Index task = 0; task < key_tasks_; ++task) count += kept_.count[kept_row(task, j, r)];
    S* values = frame.take<S>(count + 2 * Row<S>::padding);
    Column* columns = frame.take<Column>(count + 2 * Row<S>::padding);
    count = 0;
    for (Index task = 0; task < key_tasks_; ++task) {
      const kernel::Candidates<S> list = kept_.from(kept_row(task, j, r));
      std::copy_n(list.values, *list.count, values + count);
      std::copy_n(list.columns, *list.count, columns + count);
      count += *list.count;
    }
    if constexpr (mode == Mode::top_k) {
      const Index k = (std::min)(Index(std::get<Form::streamed>(a_.stages_of(plan_.head_of(j, r))).k), a_.grid.m);
      S bound = absent;
      count = kernels_.keep_top_k_of(values, columns, count, k, 0, &bound);
    }
    return make_row(a_.grid, plan_.query_of(r), values, columns, count, scratch);
  }
  /// Lists the scores of the keys that the row attends to.
  Row<S> list_of(Index j, Index r, ScratchFrame& frame, WorkerScratch& scratch) const {
    const S* scores = lists_ + (j * plan_.padded_rows() + r) * list_stride_;
    const Slice<KeySpan> spans = plan_.spans_of(j, r);
    Index count = 0;
    for (const KeySpan& span : spans) count += span.end - span.begin;
    S* values = frame.take<S>(count + 2 * Row<S>::padding);
    Column* columns = frame.take<Column>(count + 2 * Row<S>::padding);
    count = 0;
    for (const KeySpan& span : spans)
      for (Index c = span.begin; c < span.end; ++c, ++count) {
        values[count] = scores[c];
        columns[count] = static_cast<Column>(c);
      }
    count = kernels_.keep_above(values, columns, count, absent);
    return make_row(a_.grid, plan_.query_of(r), values, columns, count, scratch);
  }

  const Attention& a_;
  const Session& session_;
  const kernel::Kernels<S>& kernels_;
  FewQueriesPlan<Attention> plan_;
  Index key_tasks_ = 1, head_tasks_ = 1;
  SoftmaxState<S> states_;        // of softmax: [slots][hkv][padded_rows]
  char* written_ = nullptr;       // [slots][hkv]
  kernel::Candidates<S> kept_{};  // of top_k: [key_tasks][hkv][rows]
  Index max_k_ = 0;
  S* lists_ = nullptr;  // of lists: [hkv][padded_rows][list_stride]
  Index list_stride_ = 0;
};

}  // namespace filigree::detail
