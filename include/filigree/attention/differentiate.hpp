// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/attention/attention_gradients.hpp"
#include "filigree/engine/choose.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/row_gradients.hpp"
#include "filigree/engine/stage_subsets.hpp"
#include "filigree/engine/tile_gradients.hpp"
#include "filigree/pattern/given.hpp"
#include "filigree/pipe/weights.hpp"
#include "filigree/run/routed.hpp"
#include "filigree/run/sinks.hpp"

// How a pipeline on scores is differentiated.

namespace filigree::detail {

/// The pairs that a selection keeps.
template <Real S>
using KeptPairs = Eigen::SparseMatrix<S, Eigen::RowMajor, Index>;

/// Returns the pairs that the first selector of a pipeline keeps in rows [first, first + count).
template <class P, class Stages>
KeptPairs<typename P::Scalar> kept_pairs(P& problem, const Stages& stages, const Session& session, Index first,
                                         Index count) {
  const auto selection = stage_references<0, Form<Stages>::streamed + 1>(stages);
  const typename Choice<P>::template Rows<std::remove_const_t<decltype(selection)>> engine(problem, selection, session,
                                                                                           count);
  SparseSink<typename P::Scalar> sink(0, problem.grid.n, session);
  for_each_row(engine, first, count, session, sink);
  return sink.template matrix<KeptPairs<typename P::Scalar>>(problem.grid.m, false);
}

/// Calls f(patterns, stages) with patterns that keep the pairs of `kept`, and the other stages of a selection.
template <Real S, class Stages, class F>
auto with_kept_pairs(const KeptPairs<S>& kept, const Stages& stages, const F& f) {
  using F0 = Form<Stages>;
  const std::tuple<Given<const KeptPairs<S>&>> patterns(Given<const KeptPairs<S>&>{kept});
  const auto rest =
      std::tuple_cat(map_references<F0::streamed>(stages), stage_references<F0::after_selection, F0::size>(stages));
  return f(patterns, rest);
}

/// Computes the gradients of rows [first, first + count) of a pipeline without routers. `kept` are the pairs that the
/// first selector keeps, or null.
template <class P, class Stages, class WeightGradient>
void differentiate(P& problem, const Stages& stages, const KeptPairs<typename P::Scalar>* kept, const Session& session,
                   Index first, Index count, const WeightGradient& weight_gradient,
                   const GradientTargets<typename P::Scalar>& to, ParameterGradients<typename P::Scalar>& parameters) {
  const auto run = [&](const auto& patterns, const auto& rest) {
    using Patterns = std::remove_cvref_t<decltype(patterns)>;
    using Rest = std::remove_cvref_t<decltype(rest)>;
    RowGradients<P, Patterns, Rest>(problem, patterns, rest, session, count)
        .run(first, count, weight_gradient, to, parameters);
  };
  if constexpr (TileGradients<P, Stages>::possible && WeightGradient::has_values) {
    if (!std::apply([&](const auto&... stage) { return (is_scattered(stage, problem.grid) || ...); }, stages) &&
        TileGradients<P, Stages>(problem, stages, session).run(first, count, weight_gradient, to, parameters))
      return;
  }
  if constexpr (Form<Stages>::is_selection) {
    if (kept != nullptr) return with_kept_pairs(*kept, stages, run);
    const auto found = kept_pairs(problem, stages, session, first, count);
    with_kept_pairs(found, stages, run);
  } else {
    constexpr std::size_t leading = leading_patterns<Stages>;
    run(stage_references<0, leading>(stages), stage_references<leading, std::tuple_size_v<Stages>>(stages));
  }
}

/// Computes the gradients of weights on scores.
template <class A, class WeightGradient>
void differentiate(const A& a, const Session& session, const WeightGradient& weight_gradient,
                   const GradientTargets<typename A::Scalar>& to, ParameterGradients<typename A::Scalar>& parameters) {
  auto problem = a.source().bind();
  const auto run = [&](const auto& stages) {
    differentiate(problem, stages, nullptr, session, a.first_row(), a.row_count(), weight_gradient, to, parameters);
  };
  if constexpr (has_router<typename A::StageTuple>)
    run(bind_routers(problem, a.stages(), session).stages);
  else
    run(a.stages());
}

/// For bind_values(): rows of V that are plain numbers in memory.
struct ReadsPlainValues {};

template <class A>
concept ScoreWeights = WeightsExpression<A> && std::remove_cvref_t<decltype(std::declval<A>().source())>::is_scores;

/// Returns a view of the rows of a matrix, or of a block of its columns.
template <class M>
auto rows_of(M&& m, Index first_column = 0) {
  return kernel::StridedRows<std::remove_reference_t<decltype(*m.data())>>{m.data() + (m.size() > 0 ? first_column : 0),
                                                                           m.outerStride()};
}

}  // namespace filigree::detail
