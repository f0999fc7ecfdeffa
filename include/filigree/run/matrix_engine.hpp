// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/buffer.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/run/dense_engine.hpp"
#include "filigree/run/evaluator.hpp"
#include "filigree/stage/dense_matrix.hpp"
#include "filigree/stage/dense_row.hpp"

// Pipelines with stages that need the whole matrix. Such a stage reads all rows before it and is replaced by the stage
// that it returns, so that the rows then pass through row stages only. The rows before it are read in the memory of
// the source, or computed and stored if there are stages before it or the source is no row-major matrix.

namespace filigree::detail {

template <class Source, class Stages, Real S>
class MatrixEngine;

/// The engine of stages on a dense source.
template <class Source, class Stages, Real S>
struct DenseChoice {
  using type = GeneralEngine<Source, Stages, S>;
};
template <class Source, RowStage... T, Real S>
struct DenseChoice<Source, std::tuple<T...>, S> {
  using type = DenseEngine<Source, std::tuple<T...>, S>;
};
template <class Source, class Stages, Real S>
  requires has_matrix_stage<Stages>
struct DenseChoice<Source, Stages, S> {
  using type = MatrixEngine<Source, Stages, S>;
};

/// Row-major rows in memory, as the source of the dense engine. Absent entries are -inf.
template <Real S>
struct MatrixRows {
  using Scalar = S;
  Grid grid;
  const S* data;
  Index row_stride;

  [[nodiscard]] DenseInput<S> input() const { return {grid, data, row_stride, 1, nullptr, nullptr}; }
};
/// A sink that writes such rows.
template <Real S>
struct MatrixSink {
  Target<S> to;

  [[nodiscard]] const Target<S>& target() const { return to; }
  [[nodiscard]] static Index first_row() { return 0; }
  [[nodiscard]] static S absent() { return DenseRow<S>::absent; }
  void operator()(const Row<S>& row, WorkerScratch&) const {
    S* const values = to.data + row.index * to.row_stride;
    std::fill_n(values, to.cols, absent());
    for (Index e = 0; e < row.count; ++e) values[row.columns[e]] = row.values[e];
  }
};

/// The engine of a pipeline with a matrix stage: of the stages after the last such stage and the one that replaces it.
template <class Source, class Stages, Real S>
class MatrixEngine {
  static constexpr std::size_t depth = std::tuple_size_v<Stages>;
  static constexpr std::size_t at = with_indices<depth>([]<std::size_t... At>(std::index_sequence<At...>) {
    std::size_t last = 0;
    ((last = WholeMatrixStage<std::tuple_element_t<At, Stages>> ? At : last), ...);
    return last;
  });

  /// Returns references to the stages [first, last).
  template <std::size_t first, std::size_t last>
  static auto slice(const Stages& stages) {
    return with_indices<last - first>([&]<std::size_t... At>(std::index_sequence<At...>) {
      return std::tuple<const std::tuple_element_t<first + At, Stages>&...>(std::get<first + At>(stages)...);
    });
  }
  static auto bind(const Stages& stages, const DenseMatrix<S>& X, const Session& session) {
    return std::tuple_cat(std::tuple(std::get<at>(stages).bind(X, session)), slice<at + 1, depth>(stages));
  }
  using Before = decltype(slice<0, at>(std::declval<const Stages&>()));
  using After = decltype(bind(std::declval<const Stages&>(), std::declval<const DenseMatrix<S>&>(),
                              std::declval<const Session&>()));
  using Rows = DenseEngine<MatrixRows<S>, After, S>;

 public:
  using Run = typename Rows::Run;
  static constexpr bool fused = false;
  static constexpr EngineKind kind = EngineKind::whole_matrix;

  MatrixEngine(Source& source, const Stages& stages, const Session& session, Index count)
      : memory_(session.scratch(0)),
        rows_(rows_before(source, stages, session)),
        stages_(bind(stages, {.grid = rows_.grid, .data = rows_.data, .stride = rows_.row_stride, .memory = memory_},
                     session)),
        engine_(rows_, stages_, session, count) {}
  MatrixEngine(const MatrixEngine&) = delete;
  MatrixEngine& operator=(const MatrixEngine&) = delete;

  [[nodiscard]] Index height() const { return engine_.height(); }
  void reserve(WorkerScratch& scratch, const RowSink<S>& sink) const { engine_.reserve(scratch, sink); }
  Run prepare(Index first, Index count, const Session& session, const RowSink<S>& sink) const {
    return engine_.prepare(first, count, session, sink);
  }

 private:
  /// Returns the rows before the last matrix stage. They are computed in a buffer of the session, unless they are those
  /// of the source and contiguous in memory.
  static MatrixRows<S> rows_before(Source& source, const Stages& stages, const Session& session) {
    const Grid& grid = source.grid;
    if constexpr (at == 0) {
      const DenseInput<S> in = source.input();
      if (in.contiguous_rows()) return {grid, in.data, in.row_stride};
    }
    const Index stride = grid.m + DenseRow<S>::padding;
    S* const data = session.next_buffer().get<S>((std::max)(size_product(grid.n, stride), Index{1}));
    const Before before = slice<0, at>(stages);
    const typename DenseChoice<Source, Before, S>::type engine(source, before, session, grid.n);
    const MatrixSink<S> sink{{data, grid.n, grid.m, stride, 1, Assign::set}};
    for_each_row(engine, 0, grid.n, session, RowSink<S>(sink));
    return {grid, data, stride};
  }

  ScratchFrame memory_;
  MatrixRows<S> rows_;
  After stages_;
  Rows engine_;
};

}  // namespace filigree::detail
