// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/attention/attention_gradients.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/choose.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/kept_scores.hpp"
#include "filigree/engine/lazy_row_gradients.hpp"
#include "filigree/engine/row_gradients.hpp"
#include "filigree/engine/stage_subsets.hpp"
#include "filigree/engine/tile_gradients.hpp"
#include "filigree/pattern/given.hpp"
#include "filigree/pipe/weights.hpp"
#include "filigree/run/routed.hpp"
#include "filigree/run/sinks.hpp"

// How a pipeline on scores is differentiated.

namespace filigree::detail {

/// Finds the pairs that the first selector of a pipeline keeps in rows [first, first + count).
template <class P, class Stages>
void find_kept_pairs(P& problem, const Stages& stages, const Session& session, Index first, Index count,
                     KeptPairs<typename P::Scalar>& kept) {
  const auto selection = stage_references<0, Form<Stages>::streamed + 1>(stages);
  const typename Choice<P>::template Rows<std::remove_const_t<decltype(selection)>> engine(problem, selection, session,
                                                                                           count);
  SparseSink<typename P::Scalar> sink(0, problem.grid.n, session);
  for_each_row(engine, first, count, session, sink);
  sink.write(kept, problem.grid.m, false);
}

/// What a forward pass keeps for the backward pass beside the product: the pairs that a selection kept, or the
/// statistics of the rows of softmax.
template <Real S>
struct SavedRows {
  KeptPairs<S> kept{};
  List<S> maximum{}, inverse{};
};

/// True if gradients of a pipeline without routers are computed tile by tile.
template <class P, class Stages>
bool uses_tiles(const P& problem, const Stages& stages) {
  if constexpr (TileGradients<P, Stages>::possible)
    return choose_for_product<Stages>() != EngineKind::online_softmax_or_gathered ||
           !std::apply([&](const auto&... stage) { return (is_scattered(stage, problem.grid) || ...); }, stages);
  else
    return false;
}

/// Computes the gradients of rows [first, first + count) of a pipeline without routers. `saved` is null, or what
/// save_rows() kept of these rows; the weight gradient then has the product too.
template <class P, class Stages, class WeightGradient>
void differentiate(P& problem, const Stages& stages, const SavedRows<typename P::Scalar>* saved, const Session& session,
                   Index first, Index count, const WeightGradient& weight_gradient,
                   const GradientTargets<typename P::Scalar>& to, ParameterGradients<typename P::Scalar>& parameters) {
  if constexpr (TileGradients<P, Stages>::possible && WeightGradient::has_values) {
    TileGradients<P, Stages> tiles(problem, stages, session);
    if (saved != nullptr) tiles.use_statistics(saved->maximum, saved->inverse);
    if (uses_tiles(problem, stages) && tiles.run(first, count, weight_gradient, to, parameters)) return;
  }
  if constexpr (Form<Stages>::is_lazy && WeightGradient::has_values)
    if (LazyRowGradients<P, Stages>(problem, stages, session).run(first, count, weight_gradient, to, parameters))
      return;
  using S = typename P::Scalar;
  const auto run = [&](const auto& engine, const auto& rest) {
    RowGradients<P, std::remove_cvref_t<decltype(engine)>, std::remove_cvref_t<decltype(rest)>>(problem, engine, rest,
                                                                                                session)
        .run(first, count, weight_gradient, to, parameters);
  };
  const auto run_after = [&](const auto& patterns, const auto& rest) {
    run(typename Choice<P>::template Rows<std::remove_cvref_t<decltype(patterns)>>(problem, patterns, session, count),
        rest);
  };
  using F = Form<Stages>;
  if constexpr (F::is_selection) {
    auto& found = session.object<KeptPairs<S>>();
    if (saved == nullptr) find_kept_pairs(problem, stages, session, first, count, found);
    const KeptPairs<S>& kept = saved != nullptr ? saved->kept : found;
    const auto rest = stage_references<F::after_selection, F::size>(stages);
    const auto maps = map_references<F::streamed>(stages);
    const std::tuple<> none;
    // The scores are computed again if the pairs have weights instead, or if maps are differentiated at those before.
    if constexpr (!F::selects_near_maximum && std::tuple_size_v<decltype(maps)> == 0)
      run(KeptScores<S, std::tuple<>>(kept, problem.grid, none), rest);
    else
      run_after(std::tuple<Given<const KeptPairs<S>&>>(Given<const KeptPairs<S>&>{kept}), std::tuple_cat(maps, rest));
  } else {
    constexpr std::size_t leading = leading_patterns<Stages>;
    run_after(stage_references<0, leading>(stages), stage_references<leading, std::tuple_size_v<Stages>>(stages));
  }
}

/// Computes the product of rows [first, first + count) of a pipeline without routers with V, and keeps what
/// differentiate() needs.
template <class P, class Stages>
void save_rows(P& problem, const Stages& stages, const Session& session, Index first, Index count,
               const ProductSink<typename P::Scalar>& sink, SavedRows<typename P::Scalar>& saved) {
  using S = typename P::Scalar;
  using F = Form<Stages>;
  if constexpr (F::is_selection) find_kept_pairs(problem, stages, session, first, count, saved.kept);
  // The pairs that a normalizer finds itself have weights instead of scores.
  if constexpr (F::is_selection && !F::selects_near_maximum) {
    const auto rest = stage_references<F::after_selection, F::size>(stages);
    const KeptScores<S, std::remove_const_t<decltype(rest)>> engine(saved.kept, problem.grid, rest);
    for_each_row(engine, first, count, session, sink);
  } else {
    const typename Choice<P>::template Product<Stages> engine(problem, stages, session, count);
    if constexpr (TileGradients<P, Stages>::possible) {
      saved.maximum.resize(count);
      saved.inverse.resize(count);
      for_each_row(engine, first, count, session, SavingSink<S>{sink, saved.maximum.data(), saved.inverse.data()});
    } else {
      for_each_row(engine, first, count, session, sink);
    }
  }
}

/// The stages of weights after routers are replaced by what they choose.
template <class A, bool routes = has_router<typename A::StageTuple>>
struct RoutedStages {
  using type = typename A::StageTuple;
};
template <class A>
struct RoutedStages<A, true> {
  using type = typename decltype(bind_routers(std::declval<const typename A::Bound&>(),
                                              std::declval<const typename A::StageTuple&>(),
                                              std::declval<const Session&>()))::Stages;
};

/// Calls f(stages) with the stages of weights after routers are replaced by what they choose.
template <class A, class F>
void with_routed_stages(const A& a, const typename A::Bound& problem, const Session& session, const F& f) {
  if constexpr (has_router<typename A::StageTuple>)
    f(bind_routers(problem, a.stages(), session).stages);
  else
    f(a.stages());
}

/// Computes the gradients of weights on scores.
template <class A, class WeightGradient>
void differentiate(const A& a, const Session& session, const WeightGradient& weight_gradient,
                   const GradientTargets<typename A::Scalar>& to, ParameterGradients<typename A::Scalar>& parameters) {
  auto problem = a.source().bind();
  with_routed_stages(a, problem, session, [&](const auto& stages) {
    differentiate(problem, stages, nullptr, session, a.first_row(), a.row_count(), weight_gradient, to, parameters);
  });
}

/// For bind_values(): rows of V that are plain numbers in memory. The tiles pack them, so that they need no alignment.
template <class A>
struct ReadsPlainValues {
  static constexpr bool aligns_values = TileGradients<typename A::Bound, typename RoutedStages<A>::type>::possible;
};

template <class A>
concept ScoreWeights = WeightsExpression<A> && std::remove_cvref_t<decltype(std::declval<A>().source())>::is_scores;

/// Returns a view of the rows of a matrix, or of a block of its columns.
template <class M>
auto rows_of(M&& m, Index first_column = 0) {
  return kernel::StridedRows<std::remove_reference_t<decltype(*m.data())>>{m.data() + (m.size() > 0 ? first_column : 0),
                                                                           m.outerStride()};
}

}  // namespace filigree::detail
