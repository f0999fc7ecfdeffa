// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <tuple>

#include "filigree/run/engine_kind.hpp"
#include "filigree/run/evaluator.hpp"
#include "filigree/run/sinks.hpp"
#include "filigree/stage/apply.hpp"

namespace filigree::detail {

/// The pairs that a selection keeps, with their scores.
template <Real S>
using KeptPairs = Eigen::SparseMatrix<S, Eigen::RowMajor, Index>;

/// Computes kept pairs | stages: an engine of rows and of products that needs neither Q nor K.
template <Real S, class Stages>
class KeptScores {
 public:
  static constexpr bool fused = true;
  static constexpr EngineKind kind = EngineKind::gathered;
  using Run = Unprepared<KeptScores>;

  KeptScores(const KeptPairs<S>& kept, const Grid& grid, const Stages& stages)
      : kept_(kept), grid_(grid), stages_(stages) {}

  [[nodiscard]] Index height() const { return 64; }
  template <class Sink>
  Run prepare(Index, Index, const Session&, const Sink&) const {
    return {*this};
  }
  template <class Sink>
  void rows(Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    for (Index i = first; i < last; ++i) {
      ScratchFrame frame(scratch);
      const Index begin = kept_.outerIndexPtr()[i], count = kept_.outerIndexPtr()[i + 1] - begin;
      S* const values = frame.take<S>(count + Row<S>::padding);
      Column* const columns = frame.take<Column>(count + Row<S>::padding);
      std::copy_n(kept_.valuePtr() + begin, count, values);
      for (Index e = 0; e < count; ++e) columns[e] = static_cast<Column>(kept_.innerIndexPtr()[begin + e]);
      Row<S> row = make_row(grid_, i, values, columns, count, scratch);
      std::apply([&](const auto&... stage) { (apply(stage, row), ...); }, stages_);
      sink(row, scratch);
    }
  }

 private:
  const KeptPairs<S>& kept_;
  const Grid& grid_;
  const Stages& stages_;
};

}  // namespace filigree::detail
