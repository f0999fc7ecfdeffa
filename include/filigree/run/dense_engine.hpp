// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <tuple>

#include "filigree/core/cache.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/run/dense_step.hpp"
#include "filigree/run/evaluator.hpp"

// The engine of row stages on a dense source. It keeps rows dense as long as the stages can process dense rows. A
// pipeline of elementwise stages runs from the source to the target, one chunk in the L1 cache at a time. Other stages
// run on a whole row. From the first stage that needs a list, or that lists what it keeps, rows are lists.

namespace filigree::detail {

/// A dense matrix to read: memory with strides, or any other source by a function that copies a row.
template <Real S>
struct DenseInput {
  Grid grid;
  const S* data;
  Index row_stride, col_stride;
  const void* reader;
  void (*copy_row)(const void* reader, Index i, S* to);  // null for memory

  [[nodiscard]] bool contiguous_rows() const { return copy_row == nullptr && (col_stride == 1 || grid.m <= 1); }
  [[nodiscard]] bool contiguous_columns() const { return copy_row == nullptr && (row_stride == 1 || grid.n <= 1); }
};

template <Real S>
class DenseRowsEngine {
 public:
  using Run = Unprepared<DenseRowsEngine>;
  static constexpr bool fused = false;
  static constexpr EngineKind kind = EngineKind::dense_rows;

  DenseRowsEngine(const DenseRowsEngine&) = delete;
  DenseRowsEngine& operator=(const DenseRowsEngine&) = delete;

  [[nodiscard]] Index height() const { return height_; }

  void reserve(WorkerScratch& scratch, const RowSink<S>& sink) const {
    ScratchFrame frame(scratch);
    const Plan plan = plan_for(sink);
    if (plan.form == Form::rows || plan.form == Form::blocks) (void)Memory(frame, plan, *this);
  }
  Run prepare(Index, Index, const Session&, const RowSink<S>&) const { return {*this}; }

  void rows(Index first, Index last, WorkerScratch& scratch, const RowSink<S>& sink) const {
    const Plan plan = plan_for(sink);
    switch (plan.form) {
      case Form::flat: return stream_flat(first, last, sink);
      case Form::columns: return stream_columns(first, last, sink);
      case Form::streamed_rows: return stream_rows(first, last, sink);
      case Form::rows:
      case Form::blocks: return compute_rows(first, last, plan, scratch, sink);
    }
  }

 protected:
  DenseRowsEngine(const DenseInput<S>& input, const DenseStep<S>* steps, Index step_count, Index count,
                  Index concurrency)
      : in_(input), steps_(steps), step_count_(step_count) {
    while (leading_ < step_count && steps[leading_].elementwise != nullptr) ++leading_;
    for (Index l = 0; l < leading_; ++l) {
      uses_positions_ = uses_positions_ || steps[l].uses_positions;
      needs_rows_ = needs_rows_ || steps[l].needs_rows;
    }
    constexpr Index task_size = Index{1} << 16;  // entries
    height_ = (std::max)(round_up(task_size / (std::max)(in_.grid.m, Index{1}), Index{16}), Index{16});
    if (!in_.contiguous_rows() && in_.contiguous_columns())  // long pieces of columns
      height_ = (std::max)(height_, round_up(ceil_div(count, concurrency == 1 ? 1 : 4 * concurrency), Index{64}));
  }

 private:
  /// How rows get from the source to the sink. The first three forms are for elementwise stages and a dense target.
  enum class Form {
    flat,           // all rows as one row
    columns,        // column by column
    streamed_rows,  // row by row
    rows,           // row by row, by a buffer
    blocks,         // by a buffer of several rows, which is transposed on its way in or out
  };
  struct Plan {
    Form form;
    Index block;
    bool dense_result;  // the target needs dense rows in the buffer
  };

  /// The buffers of a worker.
  struct Memory {
    Memory(ScratchFrame& frame, const Plan& plan, const DenseRowsEngine& engine)
        : stride(engine.in_.grid.m + DenseRow<S>::padding),
          values(frame.take<S>(plan.block * stride)),
          list(frame.take<S>(stride)),
          columns(frame.take<Column>(stride)) {}
    Index stride;
    S* values;        // [block][stride] dense rows
    S* list;          // [stride]
    Column* columns;  // [stride]
  };

  [[nodiscard]] Plan plan_for(const RowSink<S>& sink) const {
    const Target<S>* to = sink.target();
    const bool sets = to != nullptr && to->op == Assign::set;
    const bool target_rows = sets && (to->col_stride == 1 || in_.grid.m <= 1);
    const bool target_columns = sets && (to->row_stride == 1 || to->rows <= 1);
    const bool streams = leading_ == step_count_ && step_count_ > 0;
    if (streams && target_rows && in_.contiguous_rows()) {
      if (!uses_positions_ && in_.row_stride == in_.grid.m && to->row_stride == in_.grid.m)
        return {Form::flat, 0, false};
      if (needs_rows_ || !(in_.grid.m < in_.grid.n && in_.contiguous_columns() && target_columns))
        return {Form::streamed_rows, 0, false};
    }
    if (streams && target_columns && in_.contiguous_columns() && !needs_rows_) return {Form::columns, 0, false};
    if (in_.contiguous_rows() && (!sets || target_rows)) return {Form::rows, 1, false};
    const Index row_bytes = (in_.grid.m + DenseRow<S>::padding) * static_cast<Index>(sizeof(S));
    const Index block = (std::min)((std::max)(cache_budget().transposed / row_bytes / 16 * 16, Index{16}), Index{64});
    return {Form::blocks, block, sets && !target_rows};
  }

  // Applies the elementwise stages of the front of the pipeline, and writes `absent` for absent values.
  void stream(const S* from, S* to, Index count, S absent, Place place) const {
    const bool at_once = leading_ == 1 && steps_[0].takes_any_count;
    const Index chunk = at_once ? (std::max)(count, Index{1}) : elementwise_chunk;
    const Index p = place.p, j = place.j;
    for (Index i = 0; i < count; i += chunk) {
      (place.is_column ? place.p : place.j) = (place.is_column ? p : j) + i;
      const Index size = (std::min)(chunk, count - i);
      const S* in = from + i;
      for (Index l = 0; l < leading_; ++l) {
        const S none = l + 1 == leading_ ? absent : DenseRow<S>::absent;
        steps_[l].elementwise(steps_[l].stage, in, to + i, size, none, place);
        in = to + i;
      }
    }
  }
  [[nodiscard]] Place place(Index i, Index c, bool is_column) const {
    return {in_.grid.query_at + i, in_.grid.key_at + c, is_column, in_.grid};
  }

  // A matrix without columns may have no memory.
  [[nodiscard]] const S* row_of_source(Index i) const {
    return in_.grid.m > 0 ? in_.data + i * in_.row_stride : in_.data;
  }
  [[nodiscard]] S* row_of_target(Index i, const RowSink<S>& sink) const {
    const Target<S>& to = *sink.target();
    return in_.grid.m > 0 ? to.data + (i - sink.first_row()) * to.row_stride : to.data;
  }

  void stream_flat(Index first, Index last, const RowSink<S>& sink) const {
    const Index m = in_.grid.m;
    stream(in_.data + first * m, sink.target()->data + (first - sink.first_row()) * m, (last - first) * m,
           sink.absent(), place(first, 0, false));
  }
  void stream_rows(Index first, Index last, const RowSink<S>& sink) const {
    for (Index i = first; i < last; ++i)
      stream(row_of_source(i), row_of_target(i, sink), in_.grid.m, sink.absent(), place(i, 0, false));
  }
  void stream_columns(Index first, Index last, const RowSink<S>& sink) const {
    const Target<S>& to = *sink.target();
    for (Index c = 0; c < in_.grid.m; ++c)
      stream(in_.data + first + c * in_.col_stride, to.data + (first - sink.first_row()) + c * to.col_stride,
             last - first, sink.absent(), place(first, c, true));
  }

  void compute_rows(Index first, Index last, const Plan& plan, WorkerScratch& scratch, const RowSink<S>& sink) const {
    ScratchFrame frame(scratch);
    const Memory memory(frame, plan, *this);
    const bool reads_rows = in_.contiguous_rows();
    for (Index i = first; i < last; i += plan.block) {
      const Index count = (std::min)(plan.block, last - i);
      if (!reads_rows) read_block(i, count, memory);
      for (Index r = 0; r < count; ++r) {
        S* const values = memory.values + r * memory.stride;
        compute_row(i + r, reads_rows ? row_of_source(i + r) : values, values, memory, plan, scratch, sink);
      }
      if (plan.dense_result) write_block(i, count, memory, sink);
    }
  }

  void read_block(Index first, Index count, const Memory& memory) const {
    if (in_.contiguous_columns())
      return kernel::kernels<S>().transpose(row_of_source(first), in_.col_stride, in_.grid.m, count, memory.values,
                                            memory.stride, DenseRow<S>::absent);
    for (Index r = 0; r < count; ++r) {
      S* const to = memory.values + r * memory.stride;
      if (in_.copy_row != nullptr)
        in_.copy_row(in_.reader, first + r, to);
      else
        copy_numbers(row_of_source(first + r), in_.col_stride, in_.grid.m, to, 1);
    }
  }
  void write_block(Index first, Index count, const Memory& memory, const RowSink<S>& sink) const {
    const Target<S>& to = *sink.target();
    S* const data = row_of_target(first, sink);
    if (to.row_stride == 1)
      return kernel::kernels<S>().transpose(memory.values, memory.stride, count, in_.grid.m, data, to.col_stride,
                                            sink.absent());
    for (Index r = 0; r < count; ++r) {
      S* const values = memory.values + r * memory.stride;
      kernel::kernels<S>().replace_absent(values, values, in_.grid.m, sink.absent());
      copy_numbers(values, 1, in_.grid.m, row_of_target(first + r, sink), to.col_stride);
    }
  }

  // Computes row i from the values `in` in the buffer `values`, which may be the same.
  void compute_row(Index i, const S* in, S* values, const Memory& memory, const Plan& plan, WorkerScratch& scratch,
                   const RowSink<S>& sink) const {
    const Index m = in_.grid.m;
    if (leading_ > 0) stream(in, values, m, DenseRow<S>::absent, place(i, 0, false));
    if (leading_ > 0) in = values;
    DenseRow<S> row{.grid = in_.grid, .index = i, .values = values, .scratch = scratch.row};
    const auto own = [&] {
      if (in != values) std::copy_n(in, m, values);
      in = values;
    };
    for (Index l = leading_; l < step_count_; ++l) {
      const DenseStep<S>& step = steps_[l];
      if (step.list_kept != nullptr) {
        const Index count = step.list_kept(step.stage, in, m, memory.list, memory.columns);
        Row<S> list = make_row(in_.grid, i, memory.list, memory.columns, count, scratch);
        list.maximum = row.maximum;
        list.sum = row.sum;
        return finish_list(list, l + 1, values, plan, scratch, sink);
      }
      own();
      if (step.dense == nullptr) {
        Row<S> list = list_of(row, memory.columns);
        return finish_list(list, l, values, plan, scratch, sink);
      }
      step.dense(step.stage, row);
    }
    own();
    finish_dense(row, memory, plan, scratch, sink);
  }

  // Applies the stages from step l on to a list. A dense result goes to the buffer `values`.
  void finish_list(Row<S>& list, Index l, S* values, const Plan& plan, WorkerScratch& scratch,
                   const RowSink<S>& sink) const {
    for (; l < step_count_; ++l) steps_[l].list(steps_[l].stage, list);
    if (!plan.dense_result) return sink(list, scratch);
    if (list.values == values) return scatter_list(values, list.columns, list.count, in_.grid.m);
    std::fill_n(values, in_.grid.m, DenseRow<S>::absent);
    for (Index e = 0; e < list.count; ++e) values[list.columns[e]] = list.values[e];
  }

  void finish_dense(DenseRow<S>& row, const Memory& memory, const Plan& plan, WorkerScratch& scratch,
                    const RowSink<S>& sink) const {
    if (plan.dense_result) return;
    const Target<S>* to = sink.target();
    if (to != nullptr && to->op == Assign::set && to->col_stride == 1) {
      return kernel::kernels<S>().replace_absent(row.values, row_of_target(row.index, sink), in_.grid.m, sink.absent());
    }
    Row<S> list = list_of(row, memory.columns);
    sink(list, scratch);
  }

  DenseInput<S> in_;
  const DenseStep<S>* steps_;
  Index step_count_, leading_ = 0;  // leading_: number of elementwise stages at the front
  bool uses_positions_ = false, needs_rows_ = false;
  Index height_;
};

/// The engine of a pipeline with these stages.
template <class Source, class Stages, Real S>
class DenseEngine : DenseSteps<Stages, S>, public DenseRowsEngine<S> {
 public:
  DenseEngine(Source& source, const Stages& stages, const Session& session, Index count)
      : DenseSteps<Stages, S>(stages),
        DenseRowsEngine<S>(source.input(), this->steps.data(), static_cast<Index>(this->steps.size()), count,
                           session.concurrency()) {}
};

}  // namespace filigree::detail
