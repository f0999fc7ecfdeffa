// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <limits>
#include <memory>
#include <tuple>
#include <type_traits>

#include "filigree/core/integers.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/run/engine_kind.hpp"
#include "filigree/run/routed.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/stage/stage.hpp"

// The general evaluator, which defines the meaning of every pipeline. It holds a few complete rows, O(m) memory, and
// applies the stages in the order in which they are written. The fused engines are tested against it.
//
// A source has grid, pack(session, count), height(), stride() and fill(first, count, to, scratch). pack() is called
// once, before `count` rows are read. height() is the preferred number of rows per call of fill(), which writes the
// values of the rows, stride() apart, with Row::padding extra entries after each row. `to` has room for height() rows.
//
// An engine has height() and prepare(first, count, session, sink), which is called once before rows [first, first +
// count) are computed, in blocks of height() rows. prepare() returns what it prepared, of type Run. run.rows(begin,
// end, scratch, sink) computes rows [begin, end), and calls sink(row, scratch) for each in order; engines of products
// call sink.take() instead. An engine may have reserve(scratch, sink), which allocates the buffers of a worker.

namespace filigree::detail {

template <Real S>
Row<S> make_row(const Grid& grid, Index index, S* values, Column* columns, Index count, WorkerScratch& scratch) {
  return {.grid = grid, .index = index, .values = values, .columns = columns, .count = count, .scratch = scratch.row};
}

/// Makes a row of the present entries of `values` (those above -inf, and NaN), in place. Stores their columns in
/// `columns`, which has capacity for grid.m + Row<S>::padding of them.
template <Real S>
Row<S> present(const Grid& grid, Index index, S* values, Column* columns, WorkerScratch& scratch) {
  const Index count = kernel::kernels<S>().list_above(values, columns, grid.m, -std::numeric_limits<S>::infinity());
  return make_row(grid, index, values, columns, count, scratch);
}

template <Real S>
class RowSink;
template <class F, class S>
concept RowCallable =
    !std::is_same_v<std::remove_cvref_t<F>, RowSink<S>> && std::is_invocable_v<F&, Row<S>&, WorkerScratch&>;

/// Several rows after their last stage, as lists. sums[r] belongs to row `first` + r.
template <Real S>
struct FinishedRows {
  Index first, count, m;
  kernel::Candidates<S> lists;
  const kernel::LogSumExp<S>* sums;
};

/// A reference to a sink, which is a callable sink(row, scratch). The sink must outlive the reference. Engines take
/// this type, so that each engine is compiled once for all sinks.
///
/// A sink may have take_rows(rows, scratch), which takes several rows in less time than one after another, and
/// prefers_rows(entries, m), which returns true if it does for lists of this many entries.
template <Real S>
class RowSink {
 public:
  template <RowCallable<S> F>
  RowSink(F&& sink) noexcept
      : sink_(const_cast<void*>(static_cast<const void*>(std::addressof(sink)))),
        call_([](void* f, Row<S>& row, WorkerScratch& scratch) {
          (*static_cast<std::remove_reference_t<F>*>(f))(row, scratch);
        }) {
    if constexpr (requires { sink.target(); }) {
      target_ = &sink.target();
      first_row_ = sink.first_row();
    }
    if constexpr (requires { sink.absent(); }) absent_ = sink.absent();
    if constexpr (requires(ScratchFrame & frame) { sink.reserve(frame); })
      reserve_ = [](void* f, ScratchFrame& frame) { static_cast<std::remove_reference_t<F>*>(f)->reserve(frame); };
    if constexpr (requires(const FinishedRows<S>& rows, WorkerScratch& scratch) { sink.take_rows(rows, scratch); }) {
      take_rows_ = [](void* f, const FinishedRows<S>& rows, WorkerScratch& scratch) {
        static_cast<std::remove_reference_t<F>*>(f)->take_rows(rows, scratch);
      };
      prefers_rows_ = [](void* f, Index entries, Index m) {
        return static_cast<std::remove_reference_t<F>*>(f)->prefers_rows(entries, m);
      };
    }
  }

  void operator()(Row<S>& row, WorkerScratch& scratch) const { call_(sink_, row, scratch); }
  /// Allocates the memory that the sink needs for a row.
  void reserve(ScratchFrame& frame) const {
    if (reserve_ != nullptr) reserve_(sink_, frame);
  }
  [[nodiscard]] bool prefers_rows(Index entries, Index m) const {
    return prefers_rows_ != nullptr && prefers_rows_(sink_, entries, m);
  }
  void take_rows(const FinishedRows<S>& rows, WorkerScratch& scratch) const { take_rows_(sink_, rows, scratch); }

  /// The dense matrix to which the sink writes rows, or null. An engine may write a row there and not call the sink.
  [[nodiscard]] const Target<S>* target() const { return target_; }
  /// The row of the pipeline that is row 0 of the target.
  [[nodiscard]] Index first_row() const { return first_row_; }
  /// The value of absent entries in the target.
  [[nodiscard]] S absent() const { return absent_; }

 private:
  const Target<S>* target_ = nullptr;
  Index first_row_ = 0;
  S absent_ = 0;
  void* sink_;
  void (*call_)(void*, Row<S>&, WorkerScratch&);
  void (*reserve_)(void*, ScratchFrame&) = nullptr;
  void (*take_rows_)(void*, const FinishedRows<S>&, WorkerScratch&) = nullptr;
  bool (*prefers_rows_)(void*, Index, Index) = nullptr;
};

/// What prepare() returns if there is nothing to prepare. The engine computes the rows itself.
template <class Engine>
struct Unprepared {
  const Engine& engine;

  template <class Sink>
  void rows(Index begin, Index end, WorkerScratch& scratch, Sink&& sink) const {
    engine.rows(begin, end, scratch, sink);
  }
};

/// An engine that can compute rows for this sink.
template <class E, class Sink>
concept EngineFor = requires(const E& engine, const typename E::Run& run, Index i, const Session& session,
                             WorkerScratch& scratch, Sink& sink) {
  { E::fused } -> std::convertible_to<bool>;
  { E::kind } -> std::convertible_to<EngineKind>;
  { engine.height() } -> std::same_as<Index>;
  { engine.prepare(i, i, session, sink) } -> std::same_as<typename E::Run>;
  { run.rows(i, i, scratch, sink) } -> std::same_as<void>;
};

/// A source of the general evaluator.
template <class T>
concept RowSource = requires(T& unpacked, const T& source, Index i, const Session& session, typename T::Scalar* to,
                             WorkerScratch& scratch) {
  { source.grid } -> std::convertible_to<Grid>;
  { unpacked.pack(session, i) } -> std::same_as<void>;
  { source.height() } -> std::same_as<Index>;
  { source.stride() } -> std::same_as<Index>;
  { source.fill(i, i, to, scratch) } -> std::same_as<void>;
};

template <class Source, class Stages, Real S>
class RowEngine {
  static_assert(RowSource<Source>);

 public:
  using Run = Unprepared<RowEngine>;
  static constexpr bool fused = false, reads_stored_values = true;
  static constexpr EngineKind kind = EngineKind::general;

  RowEngine(Source& source, const Stages& stages, const Session& session, Index count)
      : source_(source), stages_(stages) {
    source.pack(session, count);
  }

  [[nodiscard]] Index height() const { return source_.height(); }

  Run prepare(Index, Index, const Session&, const RowSink<S>&) const { return {*this}; }

  void rows(Index first, Index last, WorkerScratch& scratch, const RowSink<S>& sink) const {
    const Index height = source_.height(), stride = source_.stride();
    ScratchFrame frame(scratch);
    S* values = frame.take<S>(height * stride);
    Column* columns = frame.take<Column>(source_.grid.m + Row<S>::padding);
    for (Index i = first; i < last; i += height) {
      const Index count = (std::min)(height, last - i);
      source_.fill(i, count, values, scratch);
      for (Index r = 0; r < count; ++r) {
        Row<S> row = present(source_.grid, i + r, values + r * stride, columns, scratch);
        std::apply([&](const auto&... stage) { (apply(stage, row), ...); }, stages_);
        sink(row, scratch);
      }
    }
  }

 private:
  const Source& source_;
  const Stages& stages_;
};

template <class Stages>
inline constexpr bool has_matrix_stage = false;
template <class... T>
inline constexpr bool has_matrix_stage<std::tuple<T...>> = (WholeMatrixStage<T> || ...);

template <class Stages>
inline constexpr bool has_layer = false;
template <class... T>
inline constexpr bool has_layer<std::tuple<T...>> = (LayerStage<T> || ...);

template <class Source, class Stages, Real S>
struct GeneralChoice {
  template <class Routed>
  using Of = RowEngine<Source, Routed, S>;
};

template <class Source, class Stages, Real S>
using GeneralEngine = RoutedOr<Source, Stages, GeneralChoice<Source, Stages, S>::template Of>;

/// Allocates the buffers of an engine and a sink for every worker, and prepares rows [first, first + count).
template <class Engine, class Sink>
typename Engine::Run prepare(const Engine& engine, Index first, Index count, const Session& session, Sink& sink) {
  static_assert(EngineFor<Engine, Sink>);
  // The assignment of blocks to workers is not deterministic, so every worker allocates for any block.
  for (Index worker = 0; worker < session.concurrency(); ++worker) {
    WorkerScratch& scratch = session.scratch(worker);
    ScratchFrame frame(scratch);
    if constexpr (requires { sink.reserve(frame); }) sink.reserve(frame);
    if constexpr (requires { engine.reserve(scratch, sink); }) engine.reserve(scratch, sink);
  }
  return engine.prepare(first, count, session, sink);
}

/// Runs the engine over rows [first, first + count) in parallel blocks.
template <class Engine, class Sink>
void for_each_row(const Engine& engine, Index first, Index count, const Session& session, Sink&& sink) {
  const Index height = engine.height(), end = first + count;
  const typename Engine::Run run = prepare(engine, first, count, session, sink);
  session.run(ceil_div(count, height), [&](Index task, Index worker) {
    const Index begin = first + task * height;
    run.rows(begin, (std::min)(begin + height, end), session.scratch(worker), sink);
  });
}

}  // namespace filigree::detail
